/*
 * floor.c - the least that any monitor on KVM must do to run a tiny guest: raw calls in the order
 * of src/kvm/, no threads, no board, no checks that a run needs not. `minnow run` is measured
 * against it, with the same image and the same amount of RAM.
 *
 * Usage: floor IMAGE [wait]. Ends with 0 when the guest pulses a reset port, else with 1 and a
 * sentence; says when the guest writes the boot timer. With wait it starts at a byte on stdin.
 */
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE      (128ull << 20) /* what start-up gives the others too */
#define RAM_ALIGN     (2ull << 20)
#define IMAGE_MAX     4096
#define CPUID_MAX     128
#define KVM_IDENTITY  0xfffbc000ull
#define KVM_TSS       0xfffbd000ull
#define IOAPIC_PINS   24
#define MB_BOOT_MAGIC 0x2badb002u
#define CR0_PE        0x1u
#define RFLAGS_FIXED  0x2u
#define PORT_KBD      0x64
#define PORT_RESET    0xcf9
#define BOOT_TIMER    0xc0000000ull
#define MARK          "Guest-boot-time\n"

static int call(int fd, unsigned long request, const void *arg, const char *what)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		err(1, "%s", what);
	return r;
}

/* Copies the first segment of a small ELF image; the entry address. */
static uint32_t load(const char *path, char *ram)
{
	static _Alignas(8) char file[IMAGE_MAX];
	const Elf32_Ehdr *eh = (const Elf32_Ehdr *)file;
	const Elf64_Ehdr *eh64 = (const Elf64_Ehdr *)file;
	Elf64_Phdr ph = {0};
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || (n = read(fd, file, sizeof(file))) < 0)
		err(1, "%s", path);
	close(fd);
	if ((size_t)n < sizeof(*eh64) || memcmp(eh->e_ident, ELFMAG, SELFMAG))
		errx(1, "%s: not a small ELF image", path);
	if (eh->e_machine == EM_386 && eh->e_phoff <= (size_t)n - sizeof(Elf32_Phdr)) {
		const Elf32_Phdr *p = (const Elf32_Phdr *)(file + eh->e_phoff);

		ph = (Elf64_Phdr){.p_type = p->p_type, .p_offset = p->p_offset};
		ph.p_paddr = p->p_paddr;
		ph.p_filesz = p->p_filesz;
	} else if (eh64->e_machine == EM_X86_64 && eh64->e_phoff <= (size_t)n - sizeof(ph)) {
		ph = *(const Elf64_Phdr *)(file + eh64->e_phoff);
	}
	if (ph.p_type != PT_LOAD || ph.p_offset > (size_t)n ||
	    ph.p_filesz > (size_t)n - ph.p_offset || ph.p_paddr > RAM_SIZE - IMAGE_MAX)
		errx(1, "%s: its first segment cannot be loaded", path);
	memcpy(ram + ph.p_paddr, file + ph.p_offset, ph.p_filesz);
	return eh->e_machine == EM_386 ? eh->e_entry : (uint32_t)eh64->e_entry;
}

/* RAM aligned for large pages, as in minnow: without it the two would not fault alike. */
static char *ram_map(void)
{
	uintptr_t at = (uintptr_t)mmap(NULL, RAM_SIZE + RAM_ALIGN, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == (uintptr_t)MAP_FAILED)
		err(1, "guest RAM");
	return (char *)((at + RAM_ALIGN - 1) & ~(RAM_ALIGN - 1));
}

static int vm_create(int kvm, char *ram)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {IOAPIC_PINS}};
	struct kvm_userspace_memory_region slot = {
		.memory_size = RAM_SIZE,
		.userspace_addr = (uintptr_t)ram,
	};
	uint64_t identity = KVM_IDENTITY;
	int vm = call(kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");

	call(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity, "KVM_SET_IDENTITY_MAP_ADDR");
	call(vm, KVM_SET_TSS_ADDR, (void *)KVM_TSS, "KVM_SET_TSS_ADDR");
	call(vm, KVM_ENABLE_CAP, &split, "KVM_CAP_SPLIT_IRQCHIP");
	call(vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
	return vm;
}

/* Flat 32-bit protected mode, as multiboot 1 wants it. */
static void vcpu_set_up(int kvm, int vcpu, uint32_t entry)
{
	static _Alignas(struct kvm_cpuid2) char
		buf[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
	struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)buf;
	struct kvm_segment data = {
		.limit = ~0u, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
	struct kvm_segment code = data;
	struct kvm_regs regs = {.rip = entry, .rax = MB_BOOT_MAGIC, .rflags = RFLAGS_FIXED};
	struct kvm_sregs sregs;

	cpuid->nent = CPUID_MAX;
	call(kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	call(vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	code.selector = 8;
	code.type = 0xb;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 |= CR0_PE;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

/* To the reset. */
static void run_guest(int vcpu, const struct kvm_run *run)
{
	for (;;) {
		call(vcpu, KVM_RUN, NULL, "KVM_RUN");
		if (run->exit_reason == KVM_EXIT_IO &&
		    (run->io.port == PORT_KBD || run->io.port == PORT_RESET))
			return;
		if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr != BOOT_TIMER)
			errx(1, "exit reason %u, not a reset", run->exit_reason);
		if (write(STDOUT_FILENO, MARK, strlen(MARK)) < 0)
			err(1, "stdout");
	}
}

int main(int argc, char **argv)
{
	struct kvm_run *run;
	uint32_t entry;
	int kvm, vm, vcpu, size;
	char *ram, go;

	if (argc < 2 || argc > 3)
		errx(2, "usage: floor IMAGE [wait]");
	if (argc == 3 && read(STDIN_FILENO, &go, 1) != 1)
		errx(1, "stdin ended");
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		err(1, "/dev/kvm");
	ram = ram_map();
	entry = load(argv[1], ram);
	vm = vm_create(kvm, ram);
	vcpu = call(vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "kvm_run");
	vcpu_set_up(kvm, vcpu, entry);
	run_guest(vcpu, run);
	_exit(0);
}
