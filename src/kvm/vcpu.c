/*
 * vcpu.c - one vCPU: its first registers, its thread and run loop, and the 8259's INTR on its way
 * into vCPU 0 [KVM api.rst, KVM_RUN, KVM_INTERRUPT].
 */
#include "vcpu.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "../boot/entry.h"
#include "../clock.h"
#include "../log.h"
#include "cpuid.h"

#define CR0_PE       BIT(0)
#define CR0_ET       BIT(4)
#define CR0_NE       BIT(5)
#define CR0_PG       BIT(31)
#define CR4_PAE      BIT(5)
#define EFER_LME     BIT(8)
#define EFER_LMA     BIT(10)
#define RFLAGS_FIXED BIT(1)

#define MSR_MISC_ENABLE   0x1a0u
#define MISC_FAST_STRINGS BIT(0)
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ENABLED      (BIT(11) | 6) /* write-back default */

#define APIC_BASE_BSP    BIT(8)
#define APIC_BASE_ENABLE BIT(11)

#define KICK_SIGNAL SIGRTMIN

static __thread struct kvm_run *my_run;

/* Without SA_RESTART; the flag stays set until vcpu_enter() has looked for work. */
static void on_kick(int sig)
{
	if (my_run)
		my_run->immediate_exit = 1;
}

int vcpu_init_kick(void)
{
	struct sigaction sa = {.sa_handler = on_kick};

	if (sigaction(KICK_SIGNAL, &sa, NULL) < 0)
		return log_fail(errno, "sigaction: %s", strerror(errno));
	return 0;
}

void vcpu_kick(struct vcpu *v)
{
	if (v->thread && !pthread_equal(v->thread, pthread_self()))
		pthread_kill(v->thread, KICK_SIGNAL);
}

/* As firmware leaves every CPU: without MTRRs enabled Linux does not set up PAT. */
static int set_msrs(const struct vcpu *v)
{
	struct {
		struct kvm_msrs m;
		struct kvm_msr_entry e[2];
	} msrs = {.m = {.nmsrs = 2}};

	msrs.e[0] = (struct kvm_msr_entry){.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED};
	msrs.e[1] = (struct kvm_msr_entry){.index = MSR_MISC_ENABLE, .data = MISC_FAST_STRINGS};
	/* A KVM that does not know one of them stops there: the guest can live without. */
	if (ioctl(v->fd, KVM_SET_MSRS, &msrs) < 0)
		return log_fail(errno, "KVM_SET_MSRS: %s", strerror(errno));
	return 0;
}

int vcpu_create(struct vcpu *v, struct vm *vm, unsigned id, struct kvm_cpuid2 *cpuid)
{
	v->id = id;
	v->vm = vm;
	cpuid_set_apic_id(cpuid, id);
	if (ioctl(v->fd, KVM_SET_CPUID2, cpuid) < 0)
		return log_fail(errno, "KVM_SET_CPUID2: %s", strerror(errno));
	v->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		return log_fail(errno, "vCPU %u cannot be mapped: %s", id, strerror(errno));
	return set_msrs(v);
}

/* What the CPU would cache of a descriptor [SDM 3A 3.4.5]. */
static struct kvm_segment segment(uint64_t desc, uint16_t selector)
{
	uint32_t limit = GET(MASK(15, 0), desc) | GET(MASK(51, 48), desc) << 16;
	bool pages = desc & BIT(55);

	return (struct kvm_segment){.base = GET(MASK(39, 16), desc) |
					    (uint64_t)GET(MASK(63, 56), desc) << 24,
				    .limit = pages ? limit << 12 | 0xfff : limit,
				    .selector = selector,
				    .type = (uint8_t)GET(MASK(43, 40), desc),
				    .s = (uint8_t)GET(BIT(44), desc),
				    .present = (uint8_t)GET(BIT(47), desc),
				    .l = (uint8_t)GET(BIT(53), desc),
				    .db = (uint8_t)GET(BIT(54), desc),
				    .g = pages};
}

/* Flat segments; 64-bit mode also needs a busy 64-bit TSS and no LDT [SDM 3C 26.3.1.2]. */
void vcpu_entry_sregs(struct kvm_sregs *s, enum boot_mode mode)
{
	bool long_mode = mode == BOOT_MODE_LONG64;

	*s = (struct kvm_sregs){.apic_base = GPA_LAPIC | APIC_BASE_ENABLE | APIC_BASE_BSP};
	s->cs = segment(long_mode ? ENTRY_DESC_CODE64 : ENTRY_DESC_CODE32, ENTRY_CS);
	s->ds = segment(ENTRY_DESC_DATA, ENTRY_DS);
	s->es = s->fs = s->gs = s->ss = s->ds;
	s->tr = segment(ENTRY_DESC_TSS, ENTRY_TR);
	s->ldt = (struct kvm_segment){.unusable = 1, .type = 2};
	s->gdt = (struct kvm_dtable){.base = GPA_GDT, .limit = ENTRY_GDT_SIZE - 1};
	s->idt = (struct kvm_dtable){.base = GPA_IDT, .limit = 0};
	s->cr0 = CR0_PE | CR0_ET | CR0_NE;
	if (long_mode) {
		s->cr0 |= CR0_PG;
		s->cr3 = GPA_PML4;
		s->cr4 = CR4_PAE;
		s->efer = EFER_LME | EFER_LMA;
	}
}

/*
 * The first KVM_RUN takes the registers along [api.rst, KVM_CAP_SYNC_REGS; Linux 4.17]. The LAPIC
 * stays as KVM resets it: LVT0 of the first CPU is ExtINT, as firmware leaves it [KVM quirk
 * LINT0_REENABLED]; LVT1 is masked, and nothing on this board drives NMI.
 */
void vcpu_set_entry(struct vcpu *v, const struct boot_entry *e)
{
	struct kvm_sync_regs *s = &v->run->s.regs;

	s->regs = (struct kvm_regs){.rip = e->rip,
				    .rsi = e->rsi,
				    .rax = e->rax,
				    .rbx = e->rbx,
				    .rsp = GPA_STACK,
				    .rflags = RFLAGS_FIXED};
	vcpu_entry_sregs(&s->sregs, e->mode);
	v->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

/* A KVM_RUN that finishes the last port or memory access and enters no further [api.rst]. */
static void finish_access(struct vcpu *v)
{
	v->run->immediate_exit = 1;
	ioctl(v->fd, KVM_RUN, 0);
	v->run->immediate_exit = 0;
}

static void set_parked_at(struct vcpu *v, uint32_t gate)
{
	atomic_store(&v->parked_at, gate);
	if (atomic_load(&v->vm->pausing))
		syscall(SYS_futex, &v->parked_at, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void park(struct vcpu *v, uint32_t gate)
{
	struct vm *vm = v->vm;

	if (v->entered_ns) {
		finish_access(v);
		/* The guest's watchdog need not bark at the time that is missing [KVM api.rst];
		 * EINVAL: it has no kvmclock. */
		ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0);
	}
	set_parked_at(v, gate);
	while (atomic_load(&vm->gate) == gate)
		syscall(SYS_futex, &vm->gate, FUTEX_WAIT_PRIVATE, gate, NULL, NULL, 0);
}

/*
 * The 8259's vector goes in only when KVM says that the CPU takes it: an acknowledged vector cannot
 * be given back. Otherwise KVM is asked to come out as soon as it can, and only then: a window left
 * open exits again and again.
 */
static bool inject_intr(struct vcpu *v)
{
	struct kvm_interrupt irq;
	uint8_t vector;

	v->run->request_interrupt_window = 0;
	if (!atomic_load(&v->vm->intr))
		return true;
	if (v->run->ready_for_interrupt_injection) {
		if (!board_inta(v->vm->board, &vector, clock_now()))
			return true;
		irq.irq = vector;
		if (ioctl(v->fd, KVM_INTERRUPT, &irq) < 0 && errno != EEXIST) {
			log_err("KVM_INTERRUPT: %s", strerror(errno));
			return false;
		}
		if (!atomic_load(&v->vm->intr))
			return true;
	}
	v->run->request_interrupt_window = 1;
	return true;
}

/* Before each entry. A kick from here on makes KVM_RUN return at once. false: the VM ends. */
static bool vcpu_enter(struct vcpu *v)
{
	uint32_t gate;

	v->run->immediate_exit = 0;
	atomic_signal_fence(memory_order_seq_cst);
	while (((gate = atomic_load(&v->vm->gate)) & VM_GATE_STATE) == VM_GATE_PARKED) {
		park(v, gate);
		if (v->vm->resumed)
			v->vm->resumed(v->vm->resumed_ctx);
	}
	if (gate == VM_GATE_STOP || atomic_load(&v->vm->end) != VM_RUNNING)
		return false;
	if (v->id == 0 && !inject_intr(v)) {
		vm_end(v->vm, VM_HOST_FAILED, 0);
		return false;
	}
	return true;
}

static void vcpu_fail(struct vcpu *v, enum vm_end end, const char *what)
{
	struct kvm_regs regs = {0};

	ioctl(v->fd, KVM_GET_REGS, &regs);
	if (atomic_load(&v->vm->end) == VM_RUNNING)
		log_err("vCPU %u at rip %#llx: %s", v->id, (unsigned long long)regs.rip, what);
	vm_end(v->vm, end, 0);
}

static void vcpu_pio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned size = run->io.size;

	v->pio[run->io.direction == KVM_EXIT_IO_OUT]++;
	for (uint32_t i = 0, n = run->io.count; i < n; i++, data += size) {
		uint32_t val = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&val, data, size);
			board_pio_write(v->vm->board, run->io.port, size, val, clock_now());
		} else {
			val = board_pio_read(v->vm->board, run->io.port, size, clock_now());
			memcpy(data, &val, size);
		}
	}
}

static void vcpu_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	unsigned size = MIN(run->mmio.len, 8u);
	uint64_t val = 0;

	v->mmio[run->mmio.is_write != 0]++;
	if (run->mmio.is_write) {
		memcpy(&val, run->mmio.data, size);
		board_mmio_write(v->vm->board, run->mmio.phys_addr, size, val, clock_now());
	} else {
		val = board_mmio_read(v->vm->board, run->mmio.phys_addr, size, clock_now());
		memcpy(run->mmio.data, &val, size);
	}
}

/* KVM gave up on an instruction. On real hardware that is a guest's mistake; without hardware
 * virtualization (PVM) it is how a stock kernel ends, and the message has to say so. */
static void vcpu_internal_error(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	char what[256], bytes[64] = "";
	unsigned n = 0;

	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
		snprintf(what, sizeof(what), "KVM internal error %u", run->internal.suberror);
		vcpu_fail(v, VM_UNSUPPORTED, what);
		return;
	}
	if (run->internal.ndata >= 3 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		n = MIN(run->emulation_failure.insn_size, 15u);
	for (unsigned i = 0; i < n; i++)
		snprintf(bytes + 3 * i, 4, " %02x", run->emulation_failure.insn_bytes[i]);
	snprintf(what, sizeof(what),
		 "KVM cannot emulate the instruction%s%s. This host's KVM cannot run this guest: "
		 "stock kernels need hardware virtualization (VMX or SVM)",
		 n ? " at" : "", bytes);
	vcpu_fail(v, VM_UNSUPPORTED, what);
}

static void vcpu_eoi(struct vcpu *v)
{
	board_eoi(v->vm->board, v->run->eoi.vector, clock_now());
}

static void vcpu_unknown_exit(struct vcpu *v)
{
	uint32_t reason = v->run->exit_reason;
	char what[64];

	snprintf(what, sizeof(what), "KVM exit %u (%s)", reason, vm_exit_name(reason) ?: "unknown");
	vcpu_fail(v, reason == KVM_EXIT_FAIL_ENTRY ? VM_UNSUPPORTED : VM_HOST_FAILED, what);
}

/* The loop of the thread: one line an exit. vcpu_enter() leaves it once the run has ended. */
static void vcpu_run(struct vcpu *v)
{
	while (vcpu_enter(v)) {
		if (!v->entered_ns)
			v->entered_ns = clock_now();
		if (ioctl(v->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN) {
				v->kicks++; /* exit_reason is stale: immediate_exit does not write
					       it */
				continue;
			}
			vcpu_fail(v, VM_HOST_FAILED, strerror(errno));
			continue;
		}
		v->exits[v->run->exit_reason % VCPU_EXITS]++;
		switch (v->run->exit_reason) {
		case KVM_EXIT_IO: vcpu_pio(v); break;
		case KVM_EXIT_MMIO: vcpu_mmio(v); break;
		case KVM_EXIT_IOAPIC_EOI: vcpu_eoi(v); break;
		case KVM_EXIT_IRQ_WINDOW_OPEN: /* vcpu_enter() injects */
		case KVM_EXIT_INTR: break;
		case KVM_EXIT_SHUTDOWN:
			vcpu_fail(v, VM_CRASH, "the guest crashed: triple fault");
			break;
		case KVM_EXIT_INTERNAL_ERROR: vcpu_internal_error(v); break;
		case KVM_EXIT_SYSTEM_EVENT: vm_end(v->vm, VM_RESET, 0); break;
		default: vcpu_unknown_exit(v); break;
		}
	}
}

void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	char name[16];

	snprintf(name, sizeof(name), "fc_vcpu %u", v->id);
	pthread_setname_np(pthread_self(), name);
	log_thread(name);
	my_run = v->run;
	if (v->vm->confine && v->vm->confine())
		vm_end(v->vm, VM_HOST_FAILED, 0);
	vcpu_run(v);
	set_parked_at(v, VCPU_ENDED);
	board_wake(v->vm->board); /* the loop sees that the run has ended */
	return NULL;
}
