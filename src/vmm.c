/*
 * vmm.c - the monitor from main() to its exit status: one sequence that reads as the boot order.
 * The only file that ends the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "devices.h"
#include "kvm/vm.h"
#include "log.h"
#include "loop.h"
#include "opts.h"
#include "sandbox.h"
#include "timeline.h"

/* Everything there is, by value: ownership is this struct. */
static struct vmm {
	struct opts opts;
	struct timeline timeline;
	struct ram ram;
	struct vm vm;
	struct board board;
	struct board_host host;
	struct console console;
	struct loop loop;
	struct devices devices;
	int timeline_fd;
	char cmdline[CMDLINE_MAX]; /* the user's and what the devices add */
	uint8_t test_mmio[TEST_MMIO_SIZE];
} vmm; /* all zero: a byte that is not would put the whole of it into the file */

/* --- what the board asks of the world; its lock is held --- */

static void host_arm(void *ctx, uint64_t deadline)
{
	loop_arm(&vmm.loop, deadline);
}

static void host_power(void *ctx, enum power_event ev)
{
	vm_end(&vmm.vm, ev == POWER_OFF ? VM_POWEROFF : VM_RESET, 0);
}

static void host_mark(void *ctx, uint8_t val, uint64_t now)
{
	timeline_mark(&vmm.timeline, val, now);
}

static void host_quit(void *ctx, uint8_t status)
{
	vm_end(&vmm.vm, VM_QUIT, status);
}

/* kvm-unit-tests wants the next access to fault in the host: dropping the page does that. */
static void host_flush_page(void *ctx, uint64_t gpa)
{
	void *page = ram_at(&vmm.ram, gpa, 4096);

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

static bool turn_devices(void *ctx, uint64_t now)
{
	return devices_turn(&vmm.devices, now);
}

static bool run_ended(void *ctx)
{
	int detail;

	return vm_ended(&vmm.vm, &detail) != VM_RUNNING;
}

static void ask_end(void *ctx, int sig)
{
	vm_end(&vmm.vm, sig ? VM_SIGNAL : VM_USER, sig);
}

/* A kernel that runs makes thousands of exits in this time; one that KVM emulates makes a few. */
#define PATIENCE_MS    6000
#define PATIENCE_EXITS 64

static void on_silence(void *ctx)
{
	if (vm_exits(&vmm.vm) >= PATIENCE_EXITS)
		return;
	log_err("the kernel makes no progress: this host's KVM (PVM) cannot run stock kernels, "
		"which "
		"need hardware virtualization (VMX or SVM)");
	vm_end(&vmm.vm, VM_UNSUPPORTED, 0);
}

/* --- the terminal comes back on every way out but SIGKILL --- */

static void restore_console(void)
{
	console_restore(&vmm.console);
}

static void on_fatal(int sig)
{
	restore_console(); /* then the default action, since the handler was for one shot */
	raise(sig);
}

static void catch_fatal(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	struct sigaction sa = {.sa_handler = on_fatal, .sa_flags = SA_RESETHAND};

	for (unsigned i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &sa, NULL);
}

/* --- the sequence --- */

static int create_machine(void)
{
	const struct opts *o = &vmm.opts;
	const struct vm_conf conf = {.cpus = o->boot.cpus, .cpu_flags = o->cpu_flags};
	int err;

	err = vm_create(&vmm.vm, &conf);
	if (err)
		return err;
	timeline_reach(&vmm.timeline, PHASE_VM);
	err = ram_map(&vmm.ram, o->mem, o->pages);
	if (!err)
		err = vm_set_ram(&vmm.vm, &vmm.ram);
	if (err)
		return err;
	timeline_reach(&vmm.timeline, PHASE_RAM);
	err = vm_create_vcpus(&vmm.vm, &conf);
	timeline_reach(&vmm.timeline, PHASE_VCPU);
	return err;
}

static void init_board(void)
{
	const struct opts *o = &vmm.opts;
	struct board_conf conf = {.low_ram = vmm.ram.low,
				  .high_ram = vmm.ram.high,
				  .cpus = o->boot.cpus,
				  .test_device = o->test_device,
				  .test_mmio = vmm.test_mmio};
	struct timespec utc;

	vmm.host = (struct board_host){.arm = host_arm,
				       .power = host_power,
				       .mark = host_mark,
				       .quit = host_quit,
				       .flush_page = host_flush_page,
				       .trace = o->trace ? host_trace : NULL};
	vm_sink(&vmm.vm, &vmm.host.sink);
	clock_gettime(CLOCK_REALTIME, &utc);
	conf.utc_ns = (int64_t)utc.tv_sec * (int64_t)NSEC + utc.tv_nsec;
	board_init(&vmm.board, &conf, &vmm.host, clock_now());
}

/* A timeline that cannot be opened is the user's mistake; the rest is the host's. */
static int open_timeline(const char *path)
{
	if (path) {
		timeline_open_status(&vmm.timeline);
		vmm.timeline_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (vmm.timeline_fd < 0)
			return log_fail(errno, "--timeline %s: %s", path, strerror(errno));
	}
	return 0;
}

static int open_users_face(void)
{
	int err;

	vmm.loop = (struct loop){.board = &vmm.board,
				 .console = &vmm.console,
				 .ended = run_ended,
				 .ask_end = ask_end,
				 .turn = devconf_count(&vmm.opts.devices) ? turn_devices : NULL,
				 .patience_ms = -1};
	err = loop_take_signals(&vmm.loop);
	if (!err)
		err = console_open(&vmm.console);
	if (vmm.console.raw)
		catch_fatal();
	return err ? err : loop_init(&vmm.loop);
}

/* Lock-down has one order: nothing is opened after it, and the guest runs only behind it. */
static int confine(void)
{
	int err = sandbox_on_violation(restore_console);

	if (!err)
		err = sandbox_drop();
	if (!err)
		err = vm_start_threads(&vmm.vm, &vmm.board,
				       vmm.opts.test_device ? sandbox_vcpu_test : sandbox_vcpu);
	if (!err && vmm.devices.sockets)
		err = sandbox_loop_vsock();
	else if (!err)
		err = vmm.devices.n ? sandbox_loop_devices() : sandbox_loop();
	timeline_reach(&vmm.timeline, PHASE_CONFINED);
	return err;
}

/*
 * The command line that the guest gets. Who gives a disk and nothing else to start from wants to
 * boot from it.
 */
static int make_cmdline(void)
{
	struct opts *o = &vmm.opts;
	const char *root = "";
	size_t len;

	if (!devconf_count(&o->devices))
		return 0;
	if (!o->cmdline_given && o->devices.disks)
		root = o->devices.disk[0].readonly ? " root=/dev/vda ro" : " root=/dev/vda rw";
	len = (size_t)snprintf(vmm.cmdline, sizeof(vmm.cmdline), "%s%s", o->boot.cmdline, root);
	if (len < sizeof(vmm.cmdline))
		len += devices_cmdline(&o->devices, vmm.cmdline + len, sizeof(vmm.cmdline) - len);
	if (len >= sizeof(vmm.cmdline))
		return log_fail(E2BIG,
				"--cmdline: %zu bytes with what the devices add are too many", len);
	o->boot.cmdline = vmm.cmdline;
	return 0;
}

static void close_inherited(void)
{
	const struct devices_conf *c = &vmm.opts.devices;
	int keep[NETS_MAX];

	for (unsigned i = 0; i < c->nets; i++)
		keep[i] = c->net[i].fd;
	sandbox_close_inherited(keep, c->nets);
}

static int status_of(enum vm_end end, int detail, const char **name)
{
	static const struct {
		const char *name;
		int status;
	} way[] = {
		[VM_RUNNING] = {"running",     STATUS_HOST       },
		[VM_POWEROFF] = {"poweroff",    STATUS_OK         },
		[VM_RESET] = {"reset",       STATUS_OK         },
		[VM_CRASH] = {"crash",       STATUS_CRASH      },
		[VM_UNSUPPORTED] = {"unsupported", STATUS_UNSUPPORTED},
		[VM_HOST_FAILED] = {"host_failed", STATUS_HOST       },
		[VM_QUIT] = {"test_device", STATUS_OK         },
		[VM_USER] = {"user",        STATUS_OK         },
		[VM_SIGNAL] = {"signal",      128               },
	};

	*name = way[end].name;
	return way[end].status + detail;
}

#define FLUSH_MS       ((int)(UART_STALL_NS / 1000000))
#define FLUSH_ASKED_MS 500

static int vmm_finish(void)
{
	const char *name;
	int detail;
	enum vm_end end = vm_ended(&vmm.vm, &detail);
	int status = status_of(end, detail, &name);

	vm_join(&vmm.vm);
	timeline_reach(&vmm.timeline, PHASE_EXIT);
	devices_finish(&vmm.devices);
	/* Who ended the run does not want to wait for a reader that stopped. */
	loop_flush(&vmm.loop, end == VM_SIGNAL || end == VM_USER ? FLUSH_ASKED_MS : FLUSH_MS);
	restore_console();
	vmm.board.com1.dropped += vmm.console.dropped;
	vmm.timeline.at[PHASE_ENTRY] = vmm.vm.vcpu[0].entered_ns;
	if (vmm.timeline_fd >= 0 && timeline_write(&vmm.timeline, vmm.timeline_fd, &vmm.vm,
						   &vmm.devices, name, status, vmm.loop.wakeups))
		log_err("--timeline %s: could not be written", vmm.opts.timeline);
	return status;
}

static int vmm_run(void)
{
	struct boot_entry entry;
	int err;

	if (vmm.opts.timeline)
		timeline_reach_exec(&vmm.timeline);
	close_inherited();
	err = create_machine();
	if (err)
		return STATUS_HOST;
	if (make_cmdline() || boot_load(&vmm.opts.boot, &vmm.ram, &entry))
		return STATUS_USAGE;
	timeline_reach(&vmm.timeline, PHASE_KERNEL);
	init_board();
	vm_set_entry(&vmm.vm, &entry);
	err = open_users_face();
	if (!err && (devices_init(&vmm.devices, &vmm.opts.devices, &vmm.vm, &vmm.board, &vmm.ram,
				  &vmm.loop) ||
		     open_timeline(vmm.opts.timeline))) {
		devices_finish(&vmm.devices);
		restore_console();
		return STATUS_USAGE;
	}
	if (vmm.devices.n)
		timeline_reach(&vmm.timeline, PHASE_DEVICES);
	if (entry.kernel64 && vm_host_emulates()) {
		vmm.loop.patience_ms = PATIENCE_MS;
		vmm.loop.on_silence = on_silence;
	}
	if (!err)
		err = confine();
	if (err) {
		restore_console();
		return STATUS_HOST;
	}
	vm_resume(&vmm.vm);
	loop_run(&vmm.loop);
	return vmm_finish();
}

static int print(const char *text)
{
	size_t len = strlen(text);

	return write(STDOUT_FILENO, text, len) == (ssize_t)len ? STATUS_OK : STATUS_HOST;
}

int main(int argc, char **argv)
{
	int status = STATUS_USAGE;

	timeline_reach(&vmm.timeline, PHASE_MAIN);
	vmm.timeline_fd = -1;
	if (opts_parse(&vmm.opts, argc, argv) == 0)
		switch (vmm.opts.command) {
		case COMMAND_HELP: status = print(opts_help); break;
		case COMMAND_VERSION: status = print("minnow " MINNOW_VERSION "\n"); break;
		case COMMAND_RUN: status = vmm_run(); break;
		}
	_exit(status); /* no thread is joined twice, no memory is unmapped page by page */
}
