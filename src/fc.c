/*
 * fc.c - the monitor in Firecracker's place. One loop from the first request to the end of the
 * guest: the API's socket is one more descriptor in it. Lock-down comes with InstanceStart, since
 * everything that the machine is made of is opened by then.
 */
#include "fc.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/cli.h"
#include "api/config_file.h"
#include "api/metrics_devices.h"
#include "api/server.h"
#include "api/version.h"
#include "clock.h"
#include "fc_signal.h"
#include "log.h"
#include "machine.h"
#include "mmds/mmds.h"
#include "sandbox.h"

/* Everything there is, by value. */
static struct fc {
	struct fc_opts opts;
	struct timeline timeline;
	struct console console;
	struct loop loop;
	struct watcher watcher;
	struct machine machine;
	struct api api;
	struct api_server server;
	struct mmds mmds;
	struct mmds_nic nic[NETS_MAX];
	bool serving;      /* the server is open */
	bool started;      /* the machine is there */
	int signal;        /* that asked for the end; 0 */
	uint64_t start_ns; /* of InstanceStart, and the CPU time used by then */
	uint64_t start_cpu_ns;
} fc;

/* --- the guest's boot timer --- */

#define BOOT_TIMER_DONE  123
#define BOOT_TIMER_LINES 16u /* the guest may mark as often as it likes */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

static void fc_mark(void *ctx, uint8_t val, uint64_t now)
{
	static unsigned told; /* under the board lock */
	unsigned long us = (unsigned long)((now - fc.start_ns) / 1000);
	unsigned long cpu = (unsigned long)((cpu_ns() - fc.start_cpu_ns) / 1000);

	if (val == BOOT_TIMER_DONE && told++ < BOOT_TIMER_LINES)
		log_info("Guest-boot-time = %6lu us %lu ms, %6lu CPU us %lu CPU ms", us, us / 1000,
			 cpu, cpu / 1000);
}

/* --- lock-down --- */

static void restore_console(void)
{
	console_restore(&fc.console);
}

/* Disks without their thread would stand still. */
static int confine_io(void)
{
	int err = sandbox_io();

	if (err)
		vm_end(&fc.machine.vm, VM_HOST_FAILED, 0);
	return err;
}

/* As under minnow run, but that clients may go on asking for other files for disks. */
static int confine(struct machine *m)
{
	bool filters = !fc.opts.no_seccomp;
	int err = sandbox_drop();

	if (!err)
		err = vm_start_threads(&m->vm, &m->board, filters ? sandbox_vcpu : NULL);
	if (!err)
		err = devices_start(&m->devices, filters ? confine_io : NULL);
	if (!err && filters)
		err = sandbox_loop_api();
	return err;
}

/* --- what the API has done to the machine --- */

static int open_serial(const char *path)
{
	const int flags = O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	int fd = open(path, O_WRONLY | flags, 0644);

	/* A FIFO that nobody reads yet. */
	if (fd < 0 && errno == ENXIO)
		fd = open(path, O_RDWR | flags, 0644);
	if (fd < 0)
		return log_fail(errno, "serial output %s: %s", path, strerror(errno));
	if (fc.console.out > STDERR_FILENO)
		close(fc.console.out);
	fc.console.out = fd;
	fc.console.out_watch = true;
	fc.console.out_gone = false;
	return 0;
}

static int open_console(void)
{
	int err = console_open(&fc.console);

	if (!err && fc.api.config.serial)
		err = open_serial(fc.api.config.serial);
	limiter_set(&fc.console.limit, &fc.api.config.serial_limit, NULL, clock_now());
	if (!err)
		loop_take_console(&fc.loop, &fc.console);
	return err;
}

/* The metadata service on the interfaces that are to have it. */
static int open_nics(struct devices_conf *d)
{
	int err = 0;

	for (unsigned i = 0; i < d->nets && !err; i++) {
		if (!fc.api.config.net[i].mmds)
			continue;
		err = mmds_nic_open(&fc.nic[i], &fc.mmds);
		d->net[i].detour = &fc.nic[i].detour;
	}
	return err;
}

static void undo_start(struct machine *m)
{
	machine_destroy(m);
	for (unsigned i = 0; i < NETS_MAX; i++)
		mmds_nic_close(&fc.nic[i]);
	loop_drop_console(&fc.loop);
	console_close(&fc.console);
	fc.loop.patience_ms = 0;
}

static int fc_start(void *ctx, const struct machine_conf *c)
{
	struct machine *m = &fc.machine;
	int err;

	if (fc.started) /* and could not be confined: the loop is about to end */
		return log_fail(EBUSY, "the microVM is shutting down");
	log_info("event_start: build microvm for boot");
	fc.start_ns = clock_now();
	fc.start_cpu_ns = cpu_ns();
	err = machine_create(m, c, &fc.timeline);
	if (!err)
		err = machine_load(m, &fc.loop);
	if (!err)
		err = open_console();
	if (!err)
		err = open_nics(&fc.api.config.machine.devices);
	if (!err)
		err = machine_plug(m);
	if (err) {
		undo_start(m);
		return err;
	}
	if (fc.opts.boot_timer)
		m->mark = fc_mark;
	fc.started = true;
	fc.loop.board = &m->board;
	log_info("event_end: build microvm for boot");
	err = confine(m);
	if (err) /* what was given up does not come back */
		vm_end(&m->vm, VM_HOST_FAILED, 0);
	else
		vm_resume(&m->vm);
	return err;
}

static void fc_pause(void *ctx)
{
	machine_pause(&fc.machine);
}

static void fc_resume(void *ctx)
{
	machine_resume(&fc.machine);
}

static bool fc_ctrl_alt_del(void *ctx)
{
	return board_ctrl_alt_del(&fc.machine.board, clock_now());
}

static int fc_disk_path(void *ctx, unsigned disk, const char *path)
{
	return blk_replace(&fc.machine.devices.disk[disk], path);
}

static void fc_disk_limits(void *ctx, unsigned disk, const struct limit_conf *bytes,
			   const struct limit_conf *ops)
{
	blk_set_limits(&fc.machine.devices.disk[disk], bytes, ops);
}

static void fc_net_limits(void *ctx, unsigned net, bool rx, const struct limit_conf *bytes,
			  const struct limit_conf *ops)
{
	net_set_limits(&fc.machine.devices.net[net], rx, bytes, ops);
}

static void fc_balloon_target(void *ctx, uint32_t mib)
{
	balloon_set_target(&fc.machine.devices.balloon, mib);
}

static void fc_balloon_interval(void *ctx, uint32_t seconds)
{
	balloon_set_stats_interval(&fc.machine.devices.balloon, seconds);
}

static void fc_balloon_stats(void *ctx, struct balloon_stats *s)
{
	balloon_stats(&fc.machine.devices.balloon, s);
}

/* --- log, metrics, metadata --- */

static int hook_logger(void *ctx, const struct logger_conf *c, char *why, size_t size)
{
	return logger_update(c, why, size);
}

static int hook_metrics(void *ctx, const struct api_metrics *c, char *why, size_t size)
{
	return metrics_init(c->path, c->emit_id ? fc.opts.id : NULL, c->properties, why, size);
}

static int hook_flush(void *ctx)
{
	return metrics_write();
}

static int mmds_said(enum mmds_result r, char *why, size_t size)
{
	if (r == MMDS_OK)
		return 0;
	snprintf(why, size, "%s", mmds_fault(r));
	return r == MMDS_TOO_LARGE ? -EFBIG : -EINVAL;
}

static int hook_mmds_put(void *ctx, json_t *value, char *why, size_t size)
{
	return mmds_said(mmds_put(&fc.mmds, value), why, size);
}

static int hook_mmds_patch(void *ctx, json_t *value, char *why, size_t size)
{
	return mmds_said(mmds_patch(&fc.mmds, value), why, size);
}

static char *hook_mmds_get(void *ctx, size_t *len)
{
	return mmds_get(&fc.mmds, len);
}

static void hook_mmds_config(void *ctx, const struct config_mmds *m)
{
	const uint8_t ip[4] = {(uint8_t)(m->ipv4 >> 24), (uint8_t)(m->ipv4 >> 16),
			       (uint8_t)(m->ipv4 >> 8), (uint8_t)m->ipv4};

	mmds_configure(&fc.mmds, m->v2 ? MMDS_V2 : MMDS_V1, ip, m->imds_compat);
}

/* The machine's part of a line of metrics. */
static void fill_metrics(void *ctx, struct metrics *m)
{
	const struct api_config *c = &fc.api.config;
	struct devices *ds = &fc.machine.devices;

	metrics_mmds(&m->mmds, &fc.mmds.counters);
	if (!fc.started)
		return;
	m->blocks = ds->disks;
	for (unsigned i = 0; i < ds->disks; i++) {
		m->block_id[i] = c->drive[i].id;
		metrics_blk(&m->block[i], &ds->disk[i]);
	}
	m->nets = ds->nets;
	for (unsigned i = 0; i < ds->nets; i++) {
		m->net_id[i] = c->net[i].id;
		metrics_net(&m->net[i], &ds->net[i]);
	}
	if (c->vsock.path)
		metrics_vsock(&m->vsock, &ds->vsock);
	if (c->entropy)
		metrics_rng(&m->entropy, &ds->rng);
	if (c->balloon.present)
		metrics_balloon(&m->balloon, &ds->balloon);
	metrics_vcpus(&m->vcpu, &fc.machine.vm);
	m->uart.rate_limiter_dropped_bytes = fc.console.over_limit;
}

/* --- the loop's questions --- */

static bool fc_ended(void *ctx)
{
	int detail;

	return fc.signal || (fc.started && vm_ended(&fc.machine.vm, &detail) != VM_RUNNING);
}

/* Ctrl-A x ends a machine as its user would by SIGTERM. */
static void fc_ask_end(void *ctx, int sig)
{
	if (sig == SIGPIPE)
		fc_signal_pipe();
	else
		fc.signal = sig ? sig : SIGTERM;
}

static bool fc_turn(void *ctx, uint64_t now)
{
	uint64_t next = fc.started ? metrics_tick(now) : NEVER; /* the first line is the start's */
	bool more = false, was = fc.started;

	if (fc.serving) {
		more = api_server_turn(&fc.server, now);
		more |= fc.started != was; /* the console has not been looked at */
		next = MIN(next, api_server_deadline(&fc.server));
	}
	if (fc.started)
		more |= devices_turn(&fc.machine.devices, now);
	if (next != NEVER && fc.started)
		board_wake_at(&fc.machine.board, next);
	else if (next != NEVER)
		loop_arm(&fc.loop, next);
	return more;
}

/* --- the sequence --- */

static void init_api(void)
{
	const struct api_conf conf = {
		.id = fc.opts.id,
		.pci = fc.opts.enable_pci,
		.vmm = {.start = fc_start,
			.pause = fc_pause,
			.resume = fc_resume,
			.ctrl_alt_del = fc_ctrl_alt_del,
			.disk_path = fc_disk_path,
			.disk_limits = fc_disk_limits,
			.net_limits = fc_net_limits,
			.balloon_target = fc_balloon_target,
			.balloon_interval = fc_balloon_interval,
			.balloon_stats = fc_balloon_stats},
		.hooks = {.logger = hook_logger,
                        .metrics = hook_metrics,
                        .flush_metrics = hook_flush,
                        .mmds_put = hook_mmds_put,
                        .mmds_patch = hook_mmds_patch,
                        .mmds_get = hook_mmds_get,
                        .mmds_config = hook_mmds_config  },
		.files = &config_host,
		.count = &metrics_api,
	};

	json_object_seed(0); /* it reads /dev/urandom, which no filter allows */
	api_init(&fc.api, &conf);
}

/* Log and metrics as the command line has them. */
static int open_log(void)
{
	const struct fc_opts *o = &fc.opts;
	const struct logger_conf log = {.path = o->log_path,
					.level = o->level,
					.show_level = o->show_level,
					.show_origin = o->show_log_origin,
					.module = o->module};
	char why[CONFIG_WHY];

	logger_init(o->id);
	if (logger_update(&log, why, sizeof(why)))
		return log_fail(EINVAL, "%s", why);
	log_info("Running Firecracker v" FC_VERSION);
	metrics_startup(o->start_time_us, o->start_time_cpu_us, o->parent_cpu_time_us);
	metrics_source(fill_metrics, NULL);
	if (o->metrics_path && metrics_init(o->metrics_path, NULL, NULL, why, sizeof(why)))
		return log_fail(EINVAL, "%s", why);
	return 0;
}

static int open_loop(void)
{
	int err;

	fc.loop.ended = fc_ended;
	fc.loop.ask_end = fc_ask_end;
	fc.loop.turn = fc_turn;
	fc_signal_catch(restore_console);
	err = loop_take_signals(&fc.loop);
	if (!err)
		err = loop_init(&fc.loop);
	loop_watcher(&fc.loop, &fc.watcher);
	return err;
}

static int open_server(void)
{
	const struct api_server_conf conf = {.path = fc.opts.api_sock,
					     .body_max = fc.opts.http_api_max_payload_size,
					     .watcher = &fc.watcher,
					     .handle = api_handle,
					     .ctx = &fc.api};
	int err = api_server_open(&fc.server, &conf);

	fc.serving = !err;
	if (err)
		return err;
	log_info("Listening on API socket (\"%s\").", fc.opts.api_sock);
	log_info("API server started."); /* clients wait for this line */
	return 0;
}

/* What the files on the command line say; with a configuration the machine runs after it. */
static int read_files(void)
{
	const struct fc_opts *o = &fc.opts;
	char why[CONFIG_WHY];
	int err = 0;

	if (o->config_file)
		err = config_file_start(&fc.api, o->config_file, o->metadata, why);
	else if (o->metadata)
		err = config_file_metadata(&fc.api, o->metadata, why);
	if (err)
		return log_fail(EINVAL, "%s", why);
	return 0;
}

#define FLUSH_MS 500

/* Firecracker has no handler for the others: it dies of them. */
static void die_of(int sig)
{
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
}

static enum fc_exit fc_finish(void)
{
	enum vm_end end = VM_RUNNING;
	enum fc_exit code;
	int detail;

	log_info("Vmm is stopping.");
	if (fc.started) {
		end = vm_ended(&fc.machine.vm, &detail);
		if (fc.signal)
			vm_end(&fc.machine.vm, VM_SIGNAL, fc.signal);
		vm_join(&fc.machine.vm);
		loop_flush(&fc.loop, FLUSH_MS);
		restore_console();
	}
	code = fc_signal_words(fc.signal, SI_USER);
	if (code)
		return code;
	metrics_write();
	if (fc.signal)
		die_of(fc.signal);
	return end == VM_POWEROFF || end == VM_RESET ? FC_EXIT_OK : FC_EXIT_ERROR;
}

static enum fc_exit fc_run(void)
{
	if (open_log() || open_loop() || mmds_init(&fc.mmds, fc.opts.mmds_size_limit))
		return FC_EXIT_ERROR;
	init_api();
	if (!fc.opts.no_api && open_server())
		return FC_EXIT_ERROR;
	if (read_files())
		return FC_EXIT_ERROR;
	loop_run(&fc.loop);
	return fc_finish();
}

bool fc_wanted(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";

	if (!strcmp(name, "firecracker"))
		return true;
	/* Whoever says run means it. */
	for (int i = 1; i < argc && !strncmp(argv[1], "--", 2); i++)
		if (!strcmp(argv[i], "--api-sock") || !strcmp(argv[i], "--config-file"))
			return true;
	return false;
}

int fc_main(int argc, char **argv)
{
	enum fc_exit code;

	sandbox_close_inherited(NULL, 0);
	mallopt(M_ARENA_MAX, 1); /* one that is full is no reason for calls that no filter allows */
	logger_init("anonymous-instance"); /* until it is known */
	code = cli_parse(&fc.opts, argc, argv);
	if (code)
		return cli_end(code);
	if (fc.opts.help || fc.opts.version || fc.opts.snapshot_version)
		return cli_print(&fc.opts, MINNOW_VERSION);
	if (fc.opts.describe_snapshot) {
		log_err("%s: minnow has no snapshots yet", fc.opts.describe_snapshot);
		return cli_end(FC_EXIT_ERROR);
	}
	return cli_end(fc_run());
}
