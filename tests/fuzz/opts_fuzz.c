/* opts_fuzz.c - the command line: arguments end at NUL bytes. And its list of CPU features. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "../../src/kvm/cpuid.h"
#include "../../src/opts.h"
#include "fuzz.h"

#define ARGS_MAX 64

/* Leaves that features live in, as a host might report them. */
static void check_flags(const struct opts *o)
{
	static const uint32_t leaf[] = {0,          1,          4,          7,
					0xb,        0xd,        0x40000000, 0x80000000,
					0x80000001, 0x80000008, 0x8000000a, 0x8000001e};
	static struct {
		struct kvm_cpuid2 t;
		struct kvm_cpuid_entry2 e[CPUID_MAX];
	} cpuid;
	const struct cpuid_conf conf = {
		.cpus = o->machine.boot.cpus, .tsc_khz = 2000000, .flags = o->machine.cpu_flags};
	unsigned plus = 0;
	int err;

	memset(&cpuid, 0, sizeof(cpuid));
	for (unsigned i = 0; i < ARRAY_SIZE(leaf); i++)
		cpuid.e[cpuid.t.nent++] =
			(struct kvm_cpuid_entry2){.function = leaf[i], .eax = 0x1f};
	for (const char *c = o->machine.cpu_flags; *c; c++)
		plus += *c == '+';
	quiet_lines = 0;
	err = cpuid_build(&cpuid.t, &conf);
	CHECK(err == 0);            /* opts_parse() has checked the words */
	CHECK(quiet_lines <= plus); /* a warning for what is not offered */
	CHECK(cpuid.t.nent <= CPUID_MAX);
}

static void check(int argc, char **argv)
{
	struct opts o;
	int err;

	quiet_lines = 0;
	err = opts_parse(&o, argc, argv);
	CHECK(err == 0 || err == -EINVAL);
	CHECK(quiet_lines == (err ? 1 : 0));
	if (err || o.command != COMMAND_RUN)
		return;
	CHECK(o.machine.boot.kernel && o.machine.boot.cmdline);
	CHECK(o.machine.boot.cpus >= 1 && o.machine.boot.cpus <= MAX_CPUS);
	CHECK(o.machine.mem >= RAM_MIN && o.machine.mem <= RAM_MAX &&
	      o.machine.mem % (2 * MIB) == 0);
	CHECK(o.machine.pages <= RAM_PAGES_2M && o.machine.boot.entry <= BOOT_PVH);
	CHECK(o.machine.boot.bios == o.machine.test_device);
	if (o.machine.cpu_flags)
		check_flags(&o);
}

/* Each argument in a block of its own: reads beyond its end are seen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[ARGS_MAX + 1] = {NULL};
	int argc = 0;

	while (size && argc < ARGS_MAX) {
		size_t len = strnlen((const char *)data, size);

		argv[argc] = malloc(len + 1);
		CHECK(argv[argc]);
		memcpy(argv[argc], data, len);
		argv[argc++][len] = '\0';
		data += len;
		size -= len;
		if (size) {
			data++;
			size--;
		}
	}
	check(argc, argv);
	while (argc)
		free(argv[--argc]);
	return 0;
}
