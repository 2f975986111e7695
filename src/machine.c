/*
 * machine.c - the parts of a machine put together in their order, and what the board asks of the
 * world around it.
 */
#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

/* --- what the board asks of the world; its lock is held --- */

static void host_arm(void *ctx, uint64_t deadline)
{
	struct machine *m = ctx;

	loop_arm(m->loop, deadline);
}

static void host_power(void *ctx, enum power_event ev)
{
	struct machine *m = ctx;

	vm_end(&m->vm, ev == POWER_OFF ? VM_POWEROFF : VM_RESET, 0);
}

static void host_mark(void *ctx, uint8_t val, uint64_t now)
{
	struct machine *m = ctx;

	timeline_mark(m->timeline, val, now);
	if (m->mark)
		m->mark(m, val, now);
}

static void host_quit(void *ctx, uint8_t status)
{
	struct machine *m = ctx;

	vm_end(&m->vm, VM_QUIT, status);
}

/* kvm-unit-tests wants the next access to fault in the host: dropping the page does that. */
static void host_flush_page(void *ctx, uint64_t gpa)
{
	struct machine *m = ctx;
	void *page = ram_at(&m->ram, gpa, 4096);

	if (page) {
		mprotect(page, 4096, PROT_NONE);
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
	}
}

/* One line an access, in the format of the tests' step tables. */
static void host_trace(void *ctx, const char *op, uint64_t addr, unsigned size, uint64_t val,
		       uint64_t now)
{
	static uint64_t start, last; /* under the board lock */
	const char *width = size == 1 ? "" : size == 2 ? "2" : "4";
	char line[128];
	int n = 0;

	start = start ? start : now;
	if (now != last)
		n = snprintf(line, sizeof(line), "{AT, 0, %llu}, ",
			     (unsigned long long)(now - start));
	last = now;
	n += snprintf(line + n, sizeof(line) - (size_t)n, "{%s%s, %#llx, %#llx},\n", op, width,
		      (unsigned long long)addr, (unsigned long long)val);
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody reads it */
}

/* --- a kernel that this host cannot run --- */

/* A kernel that runs makes thousands of exits in this time; one that KVM emulates makes a few. */
#define PATIENCE_MS    6000
#define PATIENCE_EXITS 64

static void on_silence(void *ctx)
{
	struct machine *m = ctx;

	if (vm_exits(&m->vm) >= PATIENCE_EXITS)
		return;
	log_err("the kernel makes no progress: this host's KVM (PVM) cannot run stock kernels, "
		"which "
		"need hardware virtualization (VMX or SVM)");
	vm_end(&m->vm, VM_UNSUPPORTED, 0);
}

/* --- the steps --- */

int machine_create(struct machine *m, const struct machine_conf *c, struct timeline *t)
{
	const struct vm_conf conf = {
		.cpus = c->boot.cpus, .cpu_flags = c->cpu_flags, .model = c->cpu_model};
	int err;

	m->conf = c;
	m->timeline = t;
	err = vm_create(&m->vm, &conf);
	if (err)
		return err;
	timeline_reach(t, PHASE_VM);
	err = ram_map(&m->ram, c->mem, c->pages);
	if (!err)
		err = vm_set_ram(&m->vm, &m->ram);
	if (err)
		return err;
	timeline_reach(t, PHASE_RAM);
	err = vm_create_vcpus(&m->vm, &conf);
	timeline_reach(t, PHASE_VCPU);
	return err;
}

/*
 * The command line that the guest gets. Who gives a disk and nothing else to start from wants to
 * boot from it.
 */
static int make_cmdline(struct machine *m, struct boot_conf *boot)
{
	const struct devices_conf *d = &m->conf->devices;
	const char *root = "", *rest = boot->cmdline + devconf_kernel_words(boot->cmdline);
	size_t len;

	if (!devconf_count(d))
		return 0;
	if (m->conf->root_default && d->disks)
		root = d->disk[0].readonly ? " root=/dev/vda ro" : " root=/dev/vda rw";
	len = (size_t)snprintf(m->cmdline, sizeof(m->cmdline), "%.*s%s",
			       (int)(rest - boot->cmdline), boot->cmdline, root);
	if (len < sizeof(m->cmdline))
		len += devices_cmdline(d, m->cmdline + len, sizeof(m->cmdline) - len);
	if (len < sizeof(m->cmdline))
		len += (size_t)snprintf(m->cmdline + len, sizeof(m->cmdline) - len, "%s", rest);
	if (len >= sizeof(m->cmdline))
		return log_fail(E2BIG,
				"the command line: %zu bytes with what the devices add are too "
				"many",
				len);
	boot->cmdline = m->cmdline;
	return 0;
}

static void init_board(struct machine *m)
{
	const struct machine_conf *c = m->conf;
	struct board_conf conf = {.low_ram = m->ram.low,
				  .high_ram = m->ram.high,
				  .cpus = c->boot.cpus,
				  .test_device = c->test_device,
				  .test_mmio = m->test_mmio};
	struct timespec utc;

	m->host = (struct board_host){.ctx = m,
				      .arm = host_arm,
				      .power = host_power,
				      .mark = host_mark,
				      .quit = host_quit,
				      .flush_page = host_flush_page,
				      .trace = c->trace ? host_trace : NULL};
	vm_sink(&m->vm, &m->host.sink);
	clock_gettime(CLOCK_REALTIME, &utc);
	conf.utc_ns = (int64_t)utc.tv_sec * (int64_t)NSEC + utc.tv_nsec;
	board_init(&m->board, &conf, &m->host, clock_now());
}

int machine_load(struct machine *m, struct loop *loop)
{
	struct boot_conf boot = m->conf->boot;
	int err = make_cmdline(m, &boot);

	if (!err)
		err = boot_load(&boot, &m->ram, &m->entry);
	if (err)
		return err;
	timeline_reach(m->timeline, PHASE_KERNEL);
	m->loop = loop;
	init_board(m);
	vm_set_entry(&m->vm, &m->entry);
	if (m->entry.kernel64 && vm_host_emulates()) {
		loop->patience_ms = PATIENCE_MS;
		loop->on_silence = on_silence;
		loop->silence_ctx = m;
	}
	return 0;
}

int machine_plug(struct machine *m)
{
	int err = devices_init(&m->devices, &m->conf->devices, &m->vm, &m->board, &m->ram, m->loop);

	if (!err && m->devices.n)
		timeline_reach(m->timeline, PHASE_DEVICES);
	return err;
}

void machine_finish(struct machine *m)
{
	devices_finish(&m->devices);
}

void machine_destroy(struct machine *m)
{
	devices_destroy(&m->devices);
	vm_destroy(&m->vm);
	if (m->ram.host)
		ram_unmap(&m->ram);
	memset(m, 0, sizeof(*m));
}

/* --- while it runs --- */

void machine_pause(struct machine *m)
{
	m->loop->patience_ms = 0; /* it is to be silent */
	vm_pause(&m->vm);
	devices_pause(&m->devices, true);
}

void machine_resume(struct machine *m)
{
	devices_pause(&m->devices, false);
	vm_resume(&m->vm);
}
