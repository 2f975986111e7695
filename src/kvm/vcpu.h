/* vcpu.h - one vCPU: creation, first state, run loop. Internal to kvm/. */
#pragma once
#include "vm.h"

struct kvm_cpuid2;
struct kvm_sregs;

/* Creates vCPU `id` (threads come later) with its CPUID and MTRRs. 0 or -errno, logged. */
int vcpu_create(struct vcpu *v, struct vm *vm, unsigned id, struct kvm_cpuid2 *cpuid);
/* Registers for the first instruction, taken by the first KVM_RUN; vCPU 0 only. */
void vcpu_set_entry(struct vcpu *v, const struct boot_entry *e);
/* The thread: runs the guest until the VM ends. */
/* Segments, control registers and descriptor tables of `mode`; pure, for tests of the VMX rules. */
void vcpu_entry_sregs(struct kvm_sregs *s, enum boot_mode mode);
void *vcpu_main(void *arg);
/* Makes the vCPU leave the guest, or not enter it, once. From any thread. */
void vcpu_kick(struct vcpu *v);
/* Installs the kick signal's handler; once a process. 0 or -errno, logged. */
int vcpu_init_kick(void);
