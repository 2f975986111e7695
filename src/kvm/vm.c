/*
 * vm.c - creation of the VM in the order that costs least [KVM api.rst; measured in bench/]: the VM
 * while the process has few mappings, then the irqchip, memory, vCPUs; nothing is registered on
 * KVM's I/O bus before the first vCPU, since the next memory slot would wait for that.
 */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "../clock.h"
#include "../log.h"
#include "cpuid.h"
#include "template.h"
#include "vcpu.h"

#define VCPU_STACK (256 * KIB)

/*
 * What minnow cannot do without; Linux 5.10 has them all. The newest, SYNC_REGS, is asked for
 * at each start; the others when something failed, to name the cause.
 */
static const struct {
	int cap;
	const char *name;
} needed[] = {
	{KVM_CAP_SPLIT_IRQCHIP,  "KVM_CAP_SPLIT_IRQCHIP" },
	{KVM_CAP_SIGNAL_MSI,     "KVM_CAP_SIGNAL_MSI"    },
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
	{KVM_CAP_IOEVENTFD,      "KVM_CAP_IOEVENTFD"     },
	{KVM_CAP_IRQ_ROUTING,    "KVM_CAP_IRQ_ROUTING"   },
	{KVM_CAP_SYNC_REGS,      "KVM_CAP_SYNC_REGS"     },
};

static int kvm_open(struct vm *vm)
{
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0 && errno == ENOENT)
		return log_fail(ENOENT, "/dev/kvm does not exist: this host has no KVM, or the "
					"modules kvm_intel or kvm_amd are not loaded");
	if (vm->kvm < 0 && errno == EACCES)
		return log_fail(EACCES, "/dev/kvm may not be opened by this user: add the user to "
					"its group (often \"kvm\")");
	if (vm->kvm < 0)
		return log_fail(errno, "/dev/kvm cannot be opened: %s", strerror(errno));
	return 0;
}

/* On the VM's descriptor: some answers depend on it. `err` is what failed before, or 0. */
static int kvm_missing(const struct vm *vm, int err)
{
	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(vm->fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return log_fail(ENOTSUP,
					"this host's KVM lacks %s: Linux 5.10 or newer is needed",
					needed[i].name);
	return log_fail(-err, "KVM refuses a split irqchip: %s", strerror(-err));
}

static int split_irqchip(const struct vm *vm)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {VM_GSIS}};

	/* The identity map page is where KVM puts it anyway: GPA_KVM_IDENTITY. */
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, GPA_KVM_TSS) < 0 ||
	    ioctl(vm->fd, KVM_ENABLE_CAP, &split) < 0)
		return -errno;
	return 0;
}

int vm_create(struct vm *vm, const struct vm_conf *c)
{
	int err = kvm_open(vm);

	if (err)
		return err;
	do
		vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	while (vm->fd < 0 && errno == EINTR); /* it takes every mm lock, and yields to signals */
	if (vm->fd < 0 && ioctl(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return log_fail(ENODEV,
				"/dev/kvm does not answer as KVM API version %d: it is "
				"not KVM, or far too old",
				KVM_API_VERSION);
	if (vm->fd < 0)
		return log_fail(errno, "KVM_CREATE_VM: %s", strerror(errno));
	vm->cpus = c->cpus;
	atomic_store(&vm->gate, VM_GATE_PAUSE | VM_GATE_PARKED); /* no vCPU is at it yet */
	err = split_irqchip(vm);
	if (err || ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) <= 0)
		return kvm_missing(vm, err);
	return 0;
}

static int set_slot(const struct vm *vm, unsigned slot, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region r = {.slot = slot,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (uint64_t)(uintptr_t)host};

	if (size && ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		return log_fail(errno, "KVM refuses %llu MiB of guest memory at %#llx: %s",
				(unsigned long long)(size / MIB), (unsigned long long)gpa,
				strerror(errno));
	return 0;
}

int vm_set_ram(struct vm *vm, const struct ram *ram)
{
	int err = set_slot(vm, 0, 0, ram->low, ram->host);

	return err ? err : set_slot(vm, 1, GPA_4G, ram->high, ram->host + ram->low);
}

/* KVM writes as many entries as it has; E2BIG says that a newer one has more than fit. */
static int supported_cpuid(const struct vm *vm, struct kvm_cpuid2 *t)
{
	t->nent = CPUID_MAX;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, t) < 0)
		return log_fail(errno, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
	return 0;
}

int vm_create_vcpus(struct vm *vm, const struct vm_conf *c)
{
	static struct {
		struct kvm_cpuid2 t;
		struct kvm_cpuid_entry2 room[CPUID_MAX];
	} cpuid;
	/* KVM's LAPIC has had the deadline mode since Linux 3.3. */
	struct cpuid_conf conf = {.cpus = vm->cpus, .flags = c->cpu_flags, .tsc_deadline = true};
	int err = supported_cpuid(vm, &cpuid.t), khz, size, max;

	if (!err && c->model)
		err = cpu_template_caps(c->model, vm->kvm);
	if (!err && c->model)
		err = cpu_template_cpuid(c->model, &cpuid.t);
	if (err)
		return err;
	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return log_fail(EINVAL, "KVM_GET_VCPU_MMAP_SIZE gave %d", size);
	vm->run_size = (size_t)size;
	max = vm->cpus > 1 ? ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) : 1;
	if (max < (int)vm->cpus)
		return log_fail(E2BIG, "this host's KVM allows %d vCPUs a VM, not %u", max,
				vm->cpus);
	for (unsigned i = 0; i < vm->cpus; i++) {
		vm->vcpu[i].fd = ioctl(vm->fd, KVM_CREATE_VCPU, i);
		if (vm->vcpu[i].fd < 0)
			return log_fail(errno, "KVM_CREATE_VCPU %u: %s", i, strerror(errno));
		if (i == 0) {
			khz = ioctl(vm->vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
			conf.tsc_khz = khz > 0 ? (unsigned)khz : 0;
			err = cpuid_build(&cpuid.t, &conf);
		}
		if (!err)
			err = vcpu_create(&vm->vcpu[i], vm, i, &cpuid.t);
		if (!err && c->model)
			err = cpu_template_vcpu(c->model, vm->vcpu[i].fd);
		if (err)
			return err;
	}
	return 0;
}

void vm_destroy(struct vm *vm)
{
	for (unsigned i = 0; i < vm->cpus; i++) {
		struct vcpu *v = &vm->vcpu[i];

		if (v->run && v->run != MAP_FAILED)
			munmap(v->run, vm->run_size);
		if (v->fd > 0)
			close(v->fd);
	}
	if (vm->fd > 0)
		close(vm->fd);
	if (vm->kvm > 0)
		close(vm->kvm);
	memset(vm, 0, sizeof(*vm));
}

void vm_set_entry(struct vm *vm, const struct boot_entry *entry)
{
	vcpu_set_entry(&vm->vcpu[0], entry);
}

static void connect_bell(const struct vm *vm, struct kvm_ioeventfd bell, bool on)
{
	if (!on)
		bell.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	if (ioctl(vm->fd, KVM_IOEVENTFD, &bell) < 0 && on)
		log_guest("KVM_IOEVENTFD: %s; notifications are slow", strerror(errno));
}

void vm_bell(const struct vm *vm, uint64_t gpa, int fd, bool on)
{
	connect_bell(vm, (struct kvm_ioeventfd){.addr = gpa, .fd = fd}, on);
}

void vm_bell_of(const struct vm *vm, uint64_t gpa, unsigned len, uint32_t val, int fd, bool on)
{
	connect_bell(vm,
		     (struct kvm_ioeventfd){.addr = gpa,
					    .len = len,
					    .datamatch = val,
					    .fd = fd,
					    .flags = KVM_IOEVENTFD_FLAG_DATAMATCH},
		     on);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

int vm_start_threads(struct vm *vm, struct board *board, int (*confine)(void))
{
	pthread_attr_t attr;
	int err = vcpu_init_kick();

	if (err)
		return err;
	vm->board = board;
	vm->confine = confine;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK);
	for (unsigned i = 0; i < vm->cpus; i++) {
		err = pthread_create(&vm->vcpu[i].thread, &attr, vcpu_main, &vm->vcpu[i]);
		if (err) {
			vm->started = i;
			return log_fail(err, "vCPU thread %u cannot be created: %s", i,
					strerror(err));
		}
		vm->started = i + 1;
	}
	return 0;
}

void vm_resume(struct vm *vm)
{
	uint32_t gate = atomic_load(&vm->gate);
	bool wake = false;

	/* A VM that was told to stop stays stopped. */
	if ((gate & VM_GATE_STATE) != VM_GATE_PARKED ||
	    !atomic_compare_exchange_strong(&vm->gate, &gate, gate | VM_GATE_OPEN))
		return;
	for (unsigned i = 0; i < vm->started; i++)
		wake |= atomic_load(&vm->vcpu[i].parked_at) == gate;
	if (wake)
		futex_wake(&vm->gate);
}

static void kick_all(struct vm *vm)
{
	for (unsigned i = 0; i < vm->started; i++)
		vcpu_kick(&vm->vcpu[i]);
}

void vm_pause(struct vm *vm)
{
	uint32_t gate = atomic_load(&vm->gate), at;

	atomic_store(&vm->pausing, true);
	if ((gate & VM_GATE_STATE) == VM_GATE_OPEN &&
	    atomic_compare_exchange_strong(&vm->gate, &gate, gate - VM_GATE_OPEN + VM_GATE_PAUSE))
		kick_all(vm);
	gate = atomic_load(&vm->gate);
	for (unsigned i = 0; i < vm->started && (gate & VM_GATE_STATE) == VM_GATE_PARKED; i++)
		while ((at = atomic_load(&vm->vcpu[i].parked_at)) != gate && at != VCPU_ENDED)
			syscall(SYS_futex, &vm->vcpu[i].parked_at, FUTEX_WAIT_PRIVATE, at, NULL,
				NULL, 0);
	atomic_store(&vm->pausing, false);
}

void vm_end(struct vm *vm, enum vm_end end, int detail)
{
	int running = VM_RUNNING;

	atomic_compare_exchange_strong(&vm->end, &running, (int)end | detail << 8);
}

enum vm_end vm_ended(const struct vm *vm, int *detail)
{
	int end = atomic_load(&vm->end);

	*detail = end >> 8;
	return end & 0xff;
}

/* Waits for the end of the run loop, at most until `until` ns. */
static bool wait_ended(struct vcpu *v, uint64_t until)
{
	uint64_t now = clock_now();
	uint32_t at;

	while ((at = atomic_load(&v->parked_at)) != VCPU_ENDED && now < until) {
		struct timespec left = {.tv_sec = (time_t)((until - now) / NSEC),
					.tv_nsec = (long)((until - now) % NSEC)};

		syscall(SYS_futex, &v->parked_at, FUTEX_WAIT_PRIVATE, at, &left, NULL, 0);
		now = clock_now();
	}
	return at == VCPU_ENDED;
}

bool vm_join(struct vm *vm)
{
	uint64_t until = clock_now() + NSEC;
	bool all = true;

	atomic_store(&vm->pausing, true);
	atomic_store(&vm->gate, VM_GATE_STOP);
	futex_wake(&vm->gate);
	kick_all(vm);
	for (unsigned i = 0; i < vm->started; i++)
		if (wait_ended(&vm->vcpu[i], until) && pthread_join(vm->vcpu[i].thread, NULL) == 0)
			vm->vcpu[i].thread = 0; /* draining the console may raise INTR still */
		else
			all = false;
	return all;
}

bool vm_host_emulates(void)
{
	return access("/sys/module/kvm_pvm", F_OK) == 0;
}

uint64_t vm_exits(const struct vm *vm)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < vm->cpus; i++)
		for (unsigned r = 0; r < VCPU_EXITS; r++)
			n += vm->vcpu[i].exits[r];
	return n;
}

const char *vm_exit_name(unsigned reason)
{
	static const char *const name[] = {
		[KVM_EXIT_UNKNOWN] = "unknown",
		[KVM_EXIT_IO] = "io",
		[KVM_EXIT_DEBUG] = "debug",
		[KVM_EXIT_HLT] = "hlt",
		[KVM_EXIT_MMIO] = "mmio",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq_window",
		[KVM_EXIT_SHUTDOWN] = "shutdown",
		[KVM_EXIT_FAIL_ENTRY] = "fail_entry",
		[KVM_EXIT_INTR] = "intr",
		[KVM_EXIT_INTERNAL_ERROR] = "internal_error",
		[KVM_EXIT_SYSTEM_EVENT] = "system_event",
		[KVM_EXIT_IOAPIC_EOI] = "ioapic_eoi",
	};

	return reason < ARRAY_SIZE(name) ? name[reason] : NULL;
}
