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
#include <unistd.h>

#include "clock.h"
#include "fc.h"
#include "log.h"
#include "loop.h"
#include "opts.h"
#include "sandbox.h"
#include "timeline.h"

/* Everything there is, by value: ownership is this struct. */
static struct vmm {
	struct opts opts;
	struct timeline timeline;
	struct machine machine;
	struct console console;
	struct loop loop;
	int timeline_fd;
} vmm; /* all zero: a byte that is not would put the whole of it into the file */

/* --- what the loop asks --- */

static bool turn_devices(void *ctx, uint64_t now)
{
	return devices_turn(&vmm.machine.devices, now);
}

static bool run_ended(void *ctx)
{
	int detail;

	return vm_ended(&vmm.machine.vm, &detail) != VM_RUNNING;
}

static void ask_end(void *ctx, int sig)
{
	if (sig != SIGPIPE && sig != SIGXFSZ)
		vm_end(&vmm.machine.vm, sig ? VM_SIGNAL : VM_USER, sig);
}

/* --- the terminal comes back on every way out but SIGKILL --- */

static void restore_console(void)
{
	console_restore(&vmm.console);
}

static int on_forbidden(int nr)
{
	restore_console();
	return 0;
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

	vmm.loop.board = &vmm.machine.board;
	vmm.loop.ended = run_ended;
	vmm.loop.ask_end = ask_end;
	if (devconf_count(&vmm.opts.machine.devices))
		vmm.loop.turn = turn_devices;
	err = loop_take_signals(&vmm.loop);
	if (!err)
		err = console_open(&vmm.console);
	if (vmm.console.raw)
		catch_fatal();
	if (!err)
		err = loop_init(&vmm.loop);
	if (!err)
		loop_take_console(&vmm.loop, &vmm.console);
	return err;
}

static int confine_vcpu(void)
{
	if (vmm.opts.machine.test_device)
		return sandbox_vcpu_test();
	return vmm.machine.devices.vhost ? sandbox_vcpu_vhost() : sandbox_vcpu();
}

/* Disks without their thread would stand still. */
static int confine_io(void)
{
	int err = sandbox_io();

	if (err)
		vm_end(&vmm.machine.vm, VM_HOST_FAILED, 0);
	return err;
}

/* Lock-down has one order: nothing is opened after it, and the guest runs only behind it. */
static int confine(void)
{
	int err = sandbox_on_violation(on_forbidden);

	if (!err)
		err = sandbox_drop();
	if (!err)
		err = vm_start_threads(&vmm.machine.vm, &vmm.machine.board, confine_vcpu);
	if (!err)
		err = devices_start(&vmm.machine.devices, confine_io);
	if (!err && vmm.machine.devices.sockets)
		err = sandbox_loop_vsock();
	else if (!err)
		err = vmm.machine.devices.n ? sandbox_loop_devices() : sandbox_loop();
	timeline_reach(&vmm.timeline, PHASE_CONFINED);
	return err;
}

static void close_inherited(void)
{
	const struct devices_conf *c = &vmm.opts.machine.devices;
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
	enum vm_end end = vm_ended(&vmm.machine.vm, &detail);
	int status = status_of(end, detail, &name);

	vm_join(&vmm.machine.vm);
	timeline_reach(&vmm.timeline, PHASE_EXIT);
	machine_finish(&vmm.machine);
	/* Who ended the run does not want to wait for a reader that stopped. */
	loop_flush(&vmm.loop, end == VM_SIGNAL || end == VM_USER ? FLUSH_ASKED_MS : FLUSH_MS);
	restore_console();
	vmm.machine.board.com1.dropped += vmm.console.dropped;
	vmm.timeline.at[PHASE_ENTRY] = vmm.machine.vm.vcpu[0].entered_ns;
	if (vmm.timeline_fd >= 0 &&
	    timeline_write(&vmm.timeline, vmm.timeline_fd, &vmm.machine.vm, &vmm.machine.devices,
			   name, status, vmm.loop.wakeups))
		log_err("--timeline %s: could not be written", vmm.opts.timeline);
	return status;
}

static int vmm_run(void)
{
	struct machine *m = &vmm.machine;
	int err;

	if (vmm.opts.timeline)
		timeline_reach_exec(&vmm.timeline);
	close_inherited();
	if (machine_create(m, &vmm.opts.machine, &vmm.timeline))
		return STATUS_HOST;
	if (machine_load(m, &vmm.loop))
		return STATUS_USAGE;
	err = open_users_face();
	if (!err && (machine_plug(m) || open_timeline(vmm.opts.timeline))) {
		machine_finish(m);
		restore_console();
		return STATUS_USAGE;
	}
	if (!err)
		err = confine();
	if (err) {
		restore_console();
		return STATUS_HOST;
	}
	vm_resume(&m->vm);
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

	if (fc_wanted(argc, argv))
		_exit(fc_main(argc, argv));
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
