/* opts.c - the command line: one table of options, each taken once, each value checked here. */
#include "opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/cpuid.h"
#include "log.h"

#define DEFAULT_CMDLINE "console=ttyS0 reboot=k panic=-1"
#define DEFAULT_MEM     (256 * MIB)

const char opts_help[] =
	"minnow runs a virtual machine on Linux KVM.\n"
	"\n"
	"  minnow run [OPTIONS] KERNEL\n"
	"  minnow --api-sock PATH | --config-file FILE ...    in Firecracker's place\n"
	"\n"
	"KERNEL is a bzImage, an ELF vmlinux, or a multiboot image. The console is stdin and\n"
	"stdout; on a terminal Ctrl-A x ends the machine, Ctrl-A a sends a Ctrl-A.\n"
	"\n"
	"  --kernel FILE       the kernel, instead of the argument\n"
	"  --initrd FILE       initial RAM disk\n"
	"  --cmdline STRING    kernel command line  [" DEFAULT_CMDLINE "]\n"
	"  --cpus N            virtual CPUs, 1 to 32  [1]\n"
	"  --mem SIZE          memory: 512M, 4G; a bare number is MiB  [256M]\n"
	"  --disk FILE[,ro]    a disk from a raw image or a block device; may be given again\n"
	"  --net TAP           a network card on that tap device; may be given again\n"
	"  --vsock PATH        sockets between host and guest, by Unix socket PATH\n"
	"  --rng               a source of entropy\n"
	"  --balloon MIB       a balloon that takes so much memory back\n"
	"  --transport KIND    how devices are attached: pci, mmio  [pci]\n"
	"  --pages KIND        back memory by thp or 2m (hugetlb) pages  [the host's default]\n"
	"  --entry KIND        how to enter an ELF kernel: auto, linux64, pvh  [auto]\n"
	"  --cpu-flags LIST    CPU features to add or take, such as -x2apic,+svm\n"
	"  --no-seed           give the guest no random seed: for runs that must repeat\n"
	"  --timeline FILE     write times, exits, CPU time and memory of the run as JSON\n"
	"  --trace             print every device access on stderr, as test steps\n"
	"  --test-device       add the ports that kvm-unit-tests expects\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 the guest powered off or rebooted, or Ctrl-A x; 1 the host failed;\n"
	"2 bad usage, or a file that cannot be used; 3 the guest crashed (triple fault);\n"
	"4 this host's KVM cannot run the guest; 128+N ended by signal N.\n"
	"Manual: minnow(1). Example: minnow run --mem 512M --initrd initrd.img vmlinuz\n";

// clang-format off
enum opt {
	OPT_KERNEL, OPT_INITRD, OPT_CMDLINE, OPT_CPUS, OPT_MEM, OPT_PAGES, OPT_ENTRY, OPT_CPU_FLAGS,
	OPT_NO_SEED, OPT_TIMELINE, OPT_TRACE, OPT_TEST_DEVICE, OPT_DISK, OPT_NET, OPT_VSOCK, OPT_RNG,
	OPT_BALLOON, OPT_TRANSPORT, OPT_DISK_IO, OPT_N,
};

static const struct {
	const char *name;
	bool value, many; /* takes a value; may be given more than once */
} option[] = {
	[OPT_KERNEL]      = {"--kernel", true, false},
	[OPT_INITRD]      = {"--initrd", true, false},
	[OPT_CMDLINE]     = {"--cmdline", true, false},
	[OPT_CPUS]        = {"--cpus", true, false},
	[OPT_MEM]         = {"--mem", true, false},
	[OPT_PAGES]       = {"--pages", true, false},
	[OPT_ENTRY]       = {"--entry", true, false},
	[OPT_CPU_FLAGS]   = {"--cpu-flags", true, false},
	[OPT_NO_SEED]     = {"--no-seed", false, false},
	[OPT_TIMELINE]    = {"--timeline", true, false},
	[OPT_TRACE]       = {"--trace", false, false},
	[OPT_TEST_DEVICE] = {"--test-device", false, false},
	[OPT_DISK]        = {"--disk", true, true},
	[OPT_NET]         = {"--net", true, true},
	[OPT_VSOCK]       = {"--vsock", true, false},
	[OPT_RNG]         = {"--rng", false, false},
	[OPT_BALLOON]     = {"--balloon", true, false},
	[OPT_TRANSPORT]   = {"--transport", true, false},
	[OPT_DISK_IO]     = {"--disk-io", true, false},
};
// clang-format on
_Static_assert(ARRAY_SIZE(option) == OPT_N, "a row for every option");

static int parse_cpus(const char *s, unsigned *cpus)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(s, &end, 10);
	if (errno || *s < '0' || *s > '9' || *end || n < 1 || n > (long)MAX_CPUS)
		return log_fail(EINVAL, "--cpus %s: give a number from 1 to %u", s, MAX_CPUS);
	*cpus = (unsigned)n;
	return 0;
}

static int parse_mem(const char *s, uint64_t *mem)
{
	unsigned long long n;
	uint64_t unit = MIB;
	char *end;

	errno = 0;
	n = strtoull(s, &end, 10);
	if (*s < '0' || *s > '9' || errno)
		return log_fail(EINVAL, "--mem %s: give a size such as 512M or 4G", s);
	if (*end == 'G' || *end == 'g')
		unit = GIB;
	if (*end && strchr("MmGg", *end))
		end++;
	if (*end)
		return log_fail(EINVAL, "--mem %s: give a size such as 512M or 4G", s);
	if (n > RAM_MAX / unit || n * unit < RAM_MIN)
		return log_fail(EINVAL, "--mem %s: give a size from %lluM to %lluG", s,
				RAM_MIN / MIB, RAM_MAX / GIB);
	if (n * unit % (2 * MIB))
		return log_fail(EINVAL, "--mem %s: give a multiple of 2M", s);
	*mem = n * unit;
	return 0;
}

/* Index of `s` in the list; -EINVAL with the choices logged. */
static int parse_choice(const char *opt, const char *s, const char *const *list, const char *text)
{
	for (int i = 0; list[i]; i++)
		if (!strcmp(list[i], s))
			return i;
	return log_fail(EINVAL, "%s %s: give %s", opt, s, text);
}

static int set_option(struct opts *o, enum opt opt, char *val)
{
	static const char *const transport[] = {"pci", "mmio", NULL};
	static const char *const disk_io[] = {"io_uring", "worker", NULL};
	static const char *const pages[] = {"default", "thp", "2m", NULL};
	static const char *const entry[] = {"auto", "linux64", "pvh", NULL};
	int n = 0;

	switch (opt) {
	case OPT_KERNEL: o->machine.boot.kernel = val; break;
	case OPT_INITRD: o->machine.boot.initrd = val; break;
	case OPT_CMDLINE:
		o->machine.boot.cmdline = val;
		o->machine.root_default = false;
		break;
	case OPT_CPUS: return parse_cpus(val, &o->machine.boot.cpus);
	case OPT_MEM: return parse_mem(val, &o->machine.mem);
	case OPT_PAGES:
		n = parse_choice("--pages", val, pages, "default, thp or 2m");
		o->machine.pages = (enum ram_pages)n;
		break;
	case OPT_ENTRY:
		n = parse_choice("--entry", val, entry, "auto, linux64 or pvh");
		o->machine.boot.entry = (enum boot_entry_choice)n;
		break;
	case OPT_CPU_FLAGS: o->machine.cpu_flags = val; return cpuid_check_flags(val);
	case OPT_NO_SEED: o->machine.boot.rng_seed = false; break;
	case OPT_TIMELINE: o->timeline = val; break;
	case OPT_TRACE: o->machine.trace = true; break;
	case OPT_TEST_DEVICE: o->machine.test_device = o->machine.boot.bios = true; break;
	case OPT_DISK: return devconf_disk(&o->machine.devices, val);
	case OPT_NET: return devconf_net(&o->machine.devices, val);
	case OPT_VSOCK: return devconf_vsock(&o->machine.devices, val);
	case OPT_RNG: o->machine.devices.rng = true; break;
	case OPT_BALLOON: return devconf_balloon(&o->machine.devices, val);
	case OPT_TRANSPORT:
		n = parse_choice("--transport", val, transport, "pci or mmio");
		o->machine.devices.transport = (enum transport)n;
		break;
	case OPT_DISK_IO:
		n = parse_choice("--disk-io", val, disk_io, "io_uring or worker");
		o->machine.devices.worker = n == 1;
		break;
	case OPT_N: break;
	}
	return n < 0 ? n : 0;
}

/* --name=value, --name value, --name */
static int parse_option(struct opts *o, bool *seen, char **argv, int *i)
{
	char *arg = argv[*i], *eq = strchr(arg, '=');
	size_t len = eq ? (size_t)(eq - arg) : strlen(arg);
	char *val = NULL;
	unsigned opt;

	for (opt = 0; opt < OPT_N; opt++)
		if (strlen(option[opt].name) == len && !memcmp(option[opt].name, arg, len))
			break;
	if (opt == OPT_N)
		return log_fail(EINVAL, "unknown option %.*s; see minnow --help", (int)len, arg);
	if (seen[opt] && !option[opt].many)
		return log_fail(EINVAL, "%s is given twice", option[opt].name);
	seen[opt] = true;
	if (eq && !option[opt].value)
		return log_fail(EINVAL, "%s takes no value", option[opt].name);
	if (option[opt].value && !(val = eq ? eq + 1 : argv[++*i]))
		return log_fail(EINVAL, "%s needs a value", option[opt].name);
	return set_option(o, opt, val);
}

/* --help and --version, where an option may stand: they are also values, of --cmdline say. */
static bool asks_for_text(struct opts *o, const char *arg)
{
	if (!strcmp(arg, "--help") || !strcmp(arg, "-h"))
		o->command = COMMAND_HELP;
	if (!strcmp(arg, "--version") || !strcmp(arg, "-V"))
		o->command = COMMAND_VERSION;
	return o->command != COMMAND_RUN;
}

int opts_parse(struct opts *o, int argc, char **argv)
{
	bool seen[OPT_N] = {false};
	int err = 0;

	*o = (struct opts){.command = COMMAND_RUN};
	o->machine = (struct machine_conf){
		.boot = {.cmdline = DEFAULT_CMDLINE, .cpus = 1, .rng_seed = true},
		.mem = DEFAULT_MEM,
		.root_default = true,
	};
	if (argc < 2)
		return log_fail(EINVAL, "no command; try: minnow run KERNEL, or minnow --help");
	if (asks_for_text(o, argv[1]))
		return 0;
	if (strcmp(argv[1], "run"))
		return log_fail(EINVAL, "unknown command %s; see minnow --help", argv[1]);
	for (int i = 2; i < argc && !err; i++) {
		if (asks_for_text(o, argv[i])) {
			return 0;
		} else if (argv[i][0] == '-') {
			err = parse_option(o, seen, argv, &i);
		} else if (seen[OPT_KERNEL]) {
			return log_fail(EINVAL, "a second kernel is given: %s", argv[i]);
		} else {
			seen[OPT_KERNEL] = true;
			o->machine.boot.kernel = argv[i];
		}
	}
	if (!err && !o->machine.boot.kernel)
		return log_fail(EINVAL, "no kernel is given; try: minnow run KERNEL");
	return err ? err : devconf_check(&o->machine.devices, o->machine.boot.cpus);
}
