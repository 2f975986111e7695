/*
 * loader_fuzz.c - boot_load() with any kernel file, for several sizes of RAM. RAM lies between
 * guard pages and is one mapping for all runs: what a run touched is given back, which leaves
 * zeros.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../../src/boot/boot.h"
#include "fuzz.h"
#include "loader.h"

#define GUARD      (2 * MIB)
#define INITRD_LEN 70000u
#define CMDLINES   6u

/* The last two have RAM above 4 GiB, into which nothing is ever loaded. */
static const uint64_t ram_size[] = {16 * MIB, 18 * MIB,          64 * MIB,
				    3 * GIB,  3 * GIB + 2 * MIB, 4 * GIB};
static const uint64_t initrd_size[] = {0, 1, 5000, INITRD_LEN, 15 * MIB};

static struct ram ram[ARRAY_SIZE(ram_size)];
static int kernel_fd, initrd_fd[ARRAY_SIZE(initrd_size)];
static char kernel_path[32], initrd_path[ARRAY_SIZE(initrd_size)][32];
static uint8_t initrd[INITRD_LEN];
static char long_line[CMDLINE_MAX + 1];
static const char *cmdline[CMDLINES] = {"", "console=ttyS0 reboot=k panic=-1"};

static int new_file(char path[32])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	CHECK(fd >= 0);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static void map_ram(struct ram *r, uint64_t size)
{
	uint8_t *p = mmap(NULL, size + 2 * GUARD, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED && !mprotect(p + GUARD, size, PROT_READ | PROT_WRITE));
	*r = (struct ram){.host = p + GUARD, .low = MIN(size, GPA_LOW_RAM_MAX)};
	r->high = size - r->low;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* zeroing 2 MiB a run takes longer than the run */
	for (unsigned i = 0; i < ARRAY_SIZE(ram); i++)
		map_ram(&ram[i], ram_size[i]);
	for (unsigned i = 0; i < sizeof(initrd); i++)
		initrd[i] = (uint8_t)(7 * i + 1);
	kernel_fd = new_file(kernel_path);
	for (unsigned i = 0; i < ARRAY_SIZE(initrd_size); i++) {
		size_t len = MIN(initrd_size[i], sizeof(initrd));

		initrd_fd[i] = new_file(initrd_path[i]);
		CHECK(pwrite(initrd_fd[i], initrd, len, 0) == (ssize_t)len);
		CHECK(!ftruncate(initrd_fd[i], (off_t)initrd_size[i]));
	}
	memset(long_line, 'x', sizeof(long_line) - 1);
	cmdline[2] = long_line + CMDLINE_MAX - 2047; /* just what Linux takes */
	cmdline[3] = long_line + CMDLINE_MAX - 2048;
	cmdline[4] = long_line + 1; /* just what there is room for */
	cmdline[5] = long_line;
	return 0;
}

static void write_kernel(const struct loader_case *c)
{
	CHECK(!ftruncate(kernel_fd, 0));
	CHECK(pwrite(kernel_fd, c->file, c->len, 0) == (ssize_t)c->len);
	CHECK(!ftruncate(kernel_fd, (off_t)c->size));
}

/* The two lowest descriptors that are free, as one number: boot_load() leaves none open. */
static int free_fds(void)
{
	int a = dup(kernel_fd), b = dup(kernel_fd);

	close(a);
	close(b);
	return a + 1000 * b;
}

static void boot(const struct loader_case *c, struct boot_entry *entry)
{
	int fds = free_fds(), err;

	quiet_lines = 0;
	err = boot_load(c->conf, c->ram, entry);
	CHECK(free_fds() == fds);
	CHECK(quiet_lines == (err ? 1 : 0)); /* one sentence says why */
	if (err)
		CHECK(err == -EINVAL || err == -ENOEXEC || err == -E2BIG);
	else
		loader_check(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loader_scene s;
	struct boot_conf conf = {.kernel = kernel_path, .rng_seed = true};
	struct boot_entry entry = {0};
	struct loader_case c = {.conf = &conf, .entry = &entry, .initrd = initrd};
	unsigned i;

	if (size < sizeof(s))
		return 0;
	memcpy(&s, data, sizeof(s));
	conf.entry = (s.entry & 0x7f) % (BOOT_PVH + 1);
	conf.bios = s.entry & 0x80;
	conf.cpus = s.cpus % MAX_CPUS + 1;
	conf.cmdline = cmdline[s.cmdline % ARRAY_SIZE(cmdline)];
	c.ram = &ram[s.ram % ARRAY_SIZE(ram)];
	i = s.initrd % ARRAY_SIZE(initrd_size);
	if (i == ARRAY_SIZE(initrd_size) - 1 && c.ram->low > 18 * MIB)
		i = 0; /* it would fit, and copying it takes long */
	conf.initrd = i ? initrd_path[i] : NULL;
	c.initrd_size = initrd_size[i];
	c.initrd_len = MIN(c.initrd_size, INITRD_LEN);
	c.file = data + sizeof(s);
	c.len = size - sizeof(s);
	c.size = c.len + s.hole * 8 * KIB;

	write_kernel(&c);
	boot(&c, &entry);
	CHECK(!madvise(c.ram->host, c.ram->low + c.ram->high, MADV_DONTNEED));
	madvise(c.ram->host, c.ram->low + c.ram->high, MADV_NOHUGEPAGE); /* one mapping again */
	return 0;
}
