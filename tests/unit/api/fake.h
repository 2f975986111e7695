/*
 * fake.h - what the API works on, for tests: files that exist by their names, a machine that only
 * notes what it is told, and the other parts. Included by one file of a program.
 */
#pragma once
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/api/api.h"
#include "../../../src/log.h"

#define FAKE_FD   1000
#define FAKE_OPEN 256u

/* --- files: "missing..." is not there, "dir..." is of the wrong kind, "denied..." is another's ---
 */

static struct fake {
	char *open[FAKE_OPEN]; /* by descriptor - FAKE_FD; NULL: closed */
	unsigned opened;       /* since the start */
	char told[8192];       /* what the machine and the others were told */
	int start_fails;       /* errno */
	bool no_keyboard;
	int path_fails;
	struct balloon_stats stats;
	const struct machine_conf *machine;
	json_t *mmds;
	int mmds_fails, metrics_fail, flush_fails;
	const char *file; /* what read() gives */
	const char *second_file, *second_path;
	struct metrics_api count;
	struct api api;
} fake;

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
	size_t len = strlen(fake.told);
	va_list ap;

	va_start(ap, fmt);
	if (len < sizeof(fake.told) - 1)
		vsnprintf(fake.told + len, sizeof(fake.told) - len, fmt, ap);
	va_end(ap);
}

static int fake_missing(const char *path)
{
	if (!strncmp(path, "missing", 7))
		return log_fail(ENOENT, "%s: missing", path);
	if (!strncmp(path, "denied", 6))
		return log_fail(EACCES, "%s: denied", path);
	if (!strncmp(path, "dir", 3))
		return log_fail(EINVAL, "%s is a directory", path);
	return 0;
}

static int fake_open(const char *kind, const char *path)
{
	int err = fake_missing(path);

	if (err)
		return err;
	for (int i = 0; i < (int)FAKE_OPEN; i++)
		if (!fake.open[i]) {
			fake.open[i] = malloc(strlen(kind) + strlen(path) + 2);
			sprintf(fake.open[i], "%s:%s", kind, path);
			fake.opened++;
			return FAKE_FD + i;
		}
	return log_fail(EMFILE, "%s: too many", path);
}

static bool is_open(const char *what)
{
	for (unsigned i = 0; i < FAKE_OPEN; i++)
		if (fake.open[i] && !strcmp(fake.open[i], what))
			return true;
	return false;
}

static unsigned open_files(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_OPEN; i++)
		n += fake.open[i] != NULL;
	return n;
}

static int fake_disk(void *ctx, const char *path, bool readonly)
{
	return fake_open(readonly ? "ro" : "rw", path);
}

static int fake_image(void *ctx, const char *what, const char *path)
{
	return fake_open(what, path);
}

static int fake_alone(const char *kind, const char *path, int err)
{
	char name[1200];

	snprintf(name, sizeof(name), "%s:%s", kind, path);
	return is_open(name) ? log_fail(err, "%s: in use", path) : fake_open(kind, path);
}

static int fake_vsock(void *ctx, const char *path)
{
	return fake_alone("vsock", path, EADDRINUSE);
}

static int fake_tap(void *ctx, const char *name)
{
	return fake_alone("tap", name, EBUSY);
}

static void fake_close(void *ctx, int fd)
{
	free(fake.open[fd - FAKE_FD]);
	fake.open[fd - FAKE_FD] = NULL;
}

static void fake_remove(void *ctx, const char *path)
{
	tell("remove %s\n", path);
}

static char *fake_read(void *ctx, const char *path, size_t max, size_t *len)
{
	const char *text =
		fake.second_path && !strcmp(path, fake.second_path) ? fake.second_file : fake.file;

	if (!text || !strncmp(path, "missing", 7)) {
		errno = ENOENT;
		return NULL;
	}
	*len = strlen(text);
	return strdup(text);
}

static const struct config_files fake_files = {
	.disk = fake_disk,
	.image = fake_image,
	.vsock = fake_vsock,
	.tap = fake_tap,
	.close = fake_close,
	.remove = fake_remove,
	.read = fake_read,
};

/* --- the machine --- */

static int fake_start(void *ctx, const struct machine_conf *c)
{
	fake.machine = c;
	if (fake.start_fails)
		return log_fail(fake.start_fails, "the host has no KVM");
	tell("start\n");
	return 0;
}

static void fake_pause(void *ctx)
{
	tell("pause\n");
}

static void fake_resume(void *ctx)
{
	tell("resume\n");
}

static bool fake_keys(void *ctx)
{
	tell("keys\n");
	return !fake.no_keyboard;
}

static int fake_disk_path(void *ctx, unsigned disk, const char *path)
{
	int err = fake_missing(path);

	if (err)
		return err;
	if (fake.path_fails)
		return log_fail(fake.path_fails, "disk %s is odd", path);
	tell("disk %u %s\n", disk, path);
	return 0;
}

static void tell_limits(const char *what, unsigned n, const struct limit_conf *bytes,
			const struct limit_conf *ops)
{
	tell("%s %u", what, n);
	if (bytes)
		tell(" bytes %llu/%llu/%llu", (unsigned long long)bytes->size,
		     (unsigned long long)bytes->burst, (unsigned long long)bytes->refill_ms);
	if (ops)
		tell(" ops %llu/%llu/%llu", (unsigned long long)ops->size,
		     (unsigned long long)ops->burst, (unsigned long long)ops->refill_ms);
	tell("\n");
}

static void fake_disk_limits(void *ctx, unsigned disk, const struct limit_conf *bytes,
			     const struct limit_conf *ops)
{
	tell_limits("disk limits", disk, bytes, ops);
}

static void fake_net_limits(void *ctx, unsigned net, bool rx, const struct limit_conf *bytes,
			    const struct limit_conf *ops)
{
	tell_limits(rx ? "rx limits" : "tx limits", net, bytes, ops);
}

static void fake_target(void *ctx, uint32_t mib)
{
	tell("balloon %u\n", mib);
}

static void fake_interval(void *ctx, uint32_t seconds)
{
	tell("interval %u\n", seconds);
}

static void fake_stats(void *ctx, struct balloon_stats *s)
{
	*s = fake.stats;
}

/* --- the other parts --- */

static int fake_logger(void *ctx, const struct logger_conf *c, char *why, size_t size)
{
	if (c->path && !strncmp(c->path, "missing", 7)) {
		snprintf(why, size, "Failed to open target file: %s", c->path);
		return -ENOENT;
	}
	tell("logger %s %d %d %d %s\n", c->path ? c->path : "-", c->level, c->show_level,
	     c->show_origin, c->module ? c->module : "-");
	return 0;
}

static int fake_metrics(void *ctx, const struct api_metrics *c, char *why, size_t size)
{
	if (fake.metrics_fail) {
		snprintf(why, size, "Reinitialization of metrics not allowed.");
		return -EALREADY;
	}
	tell("metrics %s %d %s\n", c->path, c->emit_id, c->properties ? c->properties : "-");
	return 0;
}

static int fake_flush(void *ctx)
{
	tell("flush\n");
	return fake.flush_fails;
}

static int fake_put(void *ctx, json_t *v, char *why, size_t size)
{
	if (fake.mmds_fails) {
		snprintf(why, size, "MMDS limit exceeded error: too much");
		return fake.mmds_fails;
	}
	json_decref(fake.mmds);
	fake.mmds = json_deep_copy(v);
	return 0;
}

static int fake_patch(void *ctx, json_t *v, char *why, size_t size)
{
	if (!fake.mmds) {
		snprintf(why, size, "MMDS error: The MMDS data store is not initialized.");
		return -ENOENT;
	}
	json_object_update(fake.mmds, v);
	return 0;
}

static char *fake_get(void *ctx, size_t *len)
{
	char *text =
		fake.mmds ? json_dumps(fake.mmds, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("{}");

	*len = text ? strlen(text) : 0;
	return text;
}

static void fake_mmds_config(void *ctx, const struct config_mmds *m)
{
	tell("mmds V%d %08x %d\n", m->v2 ? 2 : 1, m->ipv4, m->imds_compat);
}

/* --- a fresh one --- */

static void fake_begin(bool pci)
{
	struct api_conf conf = {
		.id = "anonymous-instance",
		.pci = pci,
		.vmm = {.start = fake_start,
			.pause = fake_pause,
			.resume = fake_resume,
			.ctrl_alt_del = fake_keys,
			.disk_path = fake_disk_path,
			.disk_limits = fake_disk_limits,
			.net_limits = fake_net_limits,
			.balloon_target = fake_target,
			.balloon_interval = fake_interval,
			.balloon_stats = fake_stats},
		.hooks = {.logger = fake_logger,
                        .metrics = fake_metrics,
                        .flush_metrics = fake_flush,
                        .mmds_put = fake_put,
                        .mmds_patch = fake_patch,
                        .mmds_get = fake_get,
                        .mmds_config = fake_mmds_config         },
		.files = &fake_files,
		.count = &fake.count,
	};

	fake = (struct fake){0};
	api_init(&fake.api, &conf);
}

static void fake_end(void)
{
	api_finish(&fake.api);
	json_decref(fake.mmds);
	fake.mmds = NULL;
}
