/*
 * vm.h - one virtual machine in KVM: its file descriptors, memory slots, vCPUs, and the interrupt
 * sink of the board. Only kvm/ knows <linux/kvm.h>.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "../boot/boot.h"
#include "../pc/board.h"

#define VCPU_EXITS 64u  /* exit reasons counted one by one */
#define VM_GSIS    48u  /* 24 pins, and 24 for the old messages of level pins in service */
#define VM_WIRES   128u /* and one each for eventfds that send messages without us */

/* How a run ended; the first cause wins. */
enum vm_end {
	VM_RUNNING,
	VM_POWEROFF,    /* S5 */
	VM_RESET,       /* any of the reset paths */
	VM_CRASH,       /* triple fault */
	VM_UNSUPPORTED, /* KVM cannot run what the guest did */
	VM_HOST_FAILED, /* a KVM call failed */
	VM_QUIT,        /* test device, with a status of its own */
	VM_USER,        /* Ctrl-A x */
	VM_SIGNAL,      /* SIGTERM and kin, with the signal's number */
};

struct cpu_template;
struct kvm_run;
struct vm;

struct vcpu {
	unsigned id;
	int fd;
	struct kvm_run *run;
	struct vm *vm;
	pthread_t thread;
	_Atomic uint32_t parked_at; /* the value of the gate that it waits at; a futex */
	uint64_t entered_ns;        /* first KVM_RUN; 0 before */
	uint64_t exits[VCPU_EXITS]; /* by KVM_EXIT_* */
	uint64_t kicks;             /* KVM_RUN interrupted */
	uint64_t pio[2], mmio[2];   /* exits for reads and for writes */
};

/*
 * What vCPUs do at the gate before each entry: the low bits of vm.gate. Above them is the number of
 * the pause: a vCPU that is late to see one end does not pass for one that waits in the next.
 */
enum vm_gate { VM_GATE_PARKED, VM_GATE_OPEN, VM_GATE_STOP };
#define VM_GATE_STATE MASK(1, 0)
#define VM_GATE_PAUSE 4u
#define VCPU_ENDED    UINT32_MAX /* vcpu.parked_at of a thread that returned */

struct vm {
	int kvm, fd;
	size_t run_size;
	unsigned cpus;
	struct board *board;
	struct vcpu vcpu[MAX_CPUS];
	_Atomic uint32_t gate; /* a futex */
	atomic_bool pausing;   /* vm_pause() waits for them */
	atomic_bool intr;      /* the 8259's INTR, for vCPU 0 */
	_Atomic int end;       /* enum vm_end, and the detail above its low byte */
	int (*confine)(void);
	/* Called by a vCPU that was parked, before it goes on; NULL: nothing is to be done. */
	void (*resumed)(void *ctx);
	void *resumed_ctx;
	unsigned started; /* threads that exist */
	struct {
		bool used;
		uint32_t data;
		uint64_t addr;
	} route[VM_GSIS + VM_WIRES]; /* under the board lock, as the next */
	struct {
		int fd; /* 0: none; otherwise it stays with its GSI */
		bool on;
	} wire[VM_WIRES];
};

struct vm_conf {
	unsigned cpus;
	const char *cpu_flags;            /* "+svm,-x2apic" over what KVM offers; NULL = as it is */
	const struct cpu_template *model; /* what a CPU template changes; NULL = nothing */
};

/*
 * Opens /dev/kvm, checks that it can do what minnow needs, creates the VM with a split irqchip.
 * Call it while the process has few mappings. 0, or -errno with the missing part named.
 */
int vm_create(struct vm *vm, const struct vm_conf *c);
/* Gives the VM its memory. Once, after vm_create(). 0 or -errno, logged. */
int vm_set_ram(struct vm *vm, const struct ram *ram);
/* Creates the vCPUs with their CPUID and MSRs. After vm_set_ram(). 0 or -errno, logged. */
int vm_create_vcpus(struct vm *vm, const struct vm_conf *c);
/* Gives back what the three above made, however far they came. No vCPU thread may exist. */
void vm_destroy(struct vm *vm);
/* The board's way to the vCPUs; `vm` is the ctx. */
void vm_sink(struct vm *vm, struct irq_sink *sink);
/* vCPU 0 will start at `entry`. */
void vm_set_entry(struct vm *vm, const struct boot_entry *entry);

/*
 * Creates the vCPU threads; each calls `confine` (NULL: none), then waits at the gate. 0 or -errno,
 * logged. `board` must be initialised.
 */
int vm_start_threads(struct vm *vm, struct board *board, int (*confine)(void));
/* Opens the gate: the guest runs. */
void vm_resume(struct vm *vm);
/*
 * Closes the gate and waits until every vCPU is parked with its I/O completed, so that KVM's state
 * can be read. Not from a vCPU thread.
 */
void vm_pause(struct vm *vm);
/* Is the gate closed, or closing? */
static inline bool vm_pausing(const struct vm *vm)
{
	return (atomic_load(&vm->gate) & VM_GATE_STATE) == VM_GATE_PARKED;
}
/*
 * Ends the run with the first cause given; later calls change nothing. From any thread; a vCPU
 * thread leaves its run loop then, and wakes the event loop as it ends.
 */
void vm_end(struct vm *vm, enum vm_end end, int detail);
/* Why the run ended; *detail: VM_QUIT's status, VM_SIGNAL's signal. */
enum vm_end vm_ended(const struct vm *vm, int *detail);
/* Stops and joins the vCPU threads; false if one did not come back within a second. */
bool vm_join(struct vm *vm);
/*
 * Has KVM signal the eventfd `fd` instead of leaving to us when the guest writes to `gpa`, or no
 * more [api.rst, KVM_IOEVENTFD]. When KVM refuses, the writes keep coming as exits. Takes long: the
 * host waits for its readers.
 */
void vm_bell(const struct vm *vm, uint64_t gpa, int fd, bool on);
/* The same for writes of `len` bytes (2 or 4) that hold `val`; not where vm_bell() is. */
void vm_bell_of(const struct vm *vm, uint64_t gpa, unsigned len, uint32_t val, int fd, bool on);
/*
 * Is this KVM without hardware virtualization (PVM)? It emulates what guests do in ring 0, which no
 * stock kernel survives. Before sandbox_drop().
 */
bool vm_host_emulates(void);
/* Exits of all vCPUs so far; a rough figure while they run. */
uint64_t vm_exits(const struct vm *vm);
/* "io", "mmio", ...; NULL for reasons without a name here. */
const char *vm_exit_name(unsigned reason);
