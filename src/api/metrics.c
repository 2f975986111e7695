/*
 * metrics.c - Firecracker's metrics line [vmm/src/logger/metrics.rs], put together from tables in
 * one static buffer. A FIFO that nobody reads takes part of a line at most: the next one then
 * begins with a newline, so that its reader finds the beginning again.
 */
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "cli.h"
#include "logger.h"
#include "os_error.h"

#define LINE_SIZE (128 * KIB) /* all keys of 24 devices are a third; the rest for properties */

enum kind { KIND_COUNT, KIND_STORE, KIND_AGG };

struct key {
	const char *name;
	enum kind kind;
};

/* A group's place in struct metrics, `n` numbers in all. */
struct group {
	const char *name;
	const struct key *key;
	unsigned keys;
	size_t offset, n;
};

// clang-format off
#define KEY_C(k) {#k, KIND_COUNT},
#define KEY_S(k) {#k, KIND_STORE},
#define KEY_A(k) {#k, KIND_AGG},
#define KEYS(name, LIST) static const struct key name##_key[] = {LIST(KEY_C, KEY_S, KEY_A)}

KEYS(agg, METRICS_AGG);
KEYS(api_server, METRICS_API_SERVER);
KEYS(deprecated, METRICS_DEPRECATED_API);
KEYS(get, METRICS_GET);
KEYS(patch, METRICS_PATCH);
KEYS(put, METRICS_PUT);
KEYS(latencies, METRICS_LATENCIES);
KEYS(balloon, METRICS_BALLOON);
KEYS(block, METRICS_BLOCK);
KEYS(i8042, METRICS_I8042);
KEYS(uart, METRICS_UART);
KEYS(logger, METRICS_LOGGER);
KEYS(mmds, METRICS_MMDS);
KEYS(net, METRICS_NET);
KEYS(seccomp, METRICS_SECCOMP);
KEYS(vcpu, METRICS_VCPU);
KEYS(vmm, METRICS_VMM);
KEYS(signals, METRICS_SIGNALS);
KEYS(vsock, METRICS_VSOCK);
KEYS(entropy, METRICS_ENTROPY);
KEYS(pmem, METRICS_PMEM);
KEYS(interrupts, METRICS_INTERRUPTS);
KEYS(memory_hotplug, METRICS_MEMORY_HOTPLUG);

#define GROUP(json, keys, field) {json, keys##_key, ARRAY_SIZE(keys##_key), \
	offsetof(struct metrics, field), sizeof(((struct metrics *)0)->field) / sizeof(uint64_t)}

enum { GROUP_BLOCK = 2, GROUP_NET = 10 }; /* of which there are several */

static const struct group group[] = {
	GROUP("api_server", api_server, api.server),
	GROUP("balloon", balloon, balloon),
	[GROUP_BLOCK] = GROUP("block", block, block[0]),
	GROUP("deprecated_api", deprecated, api.deprecated),
	GROUP("get_api_requests", get, api.get),
	GROUP("i8042", i8042, i8042),
	GROUP("uart", uart, uart),
	GROUP("latencies_us", latencies, api.latencies),
	GROUP("logger", logger, logger),
	GROUP("mmds", mmds, mmds),
	[GROUP_NET] = GROUP("net", net, net[0]),
	GROUP("patch_api_requests", patch, api.patch),
	GROUP("put_api_requests", put, api.put),
	GROUP("seccomp", seccomp, seccomp),
	GROUP("vcpu", vcpu, vcpu),
	GROUP("vmm", vmm, vmm),
	GROUP("signals", signals, signals),
	GROUP("vsock", vsock, vsock),
	GROUP("entropy", entropy, entropy),
	GROUP("pmem", pmem, pmem),
	GROUP("interrupts", interrupts, interrupts),
	GROUP("memory_hotplug", memory_hotplug, memory_hotplug),
};
// clang-format on

struct metrics_api metrics_api;
struct metrics_signals metrics_signals;
struct metrics_seccomp metrics_seccomp;

static struct {
	bool on;
	int fd;
	const char *id, *properties;
	void (*fill)(void *ctx, struct metrics *m);
	void *ctx;
	uint64_t due;
	bool torn; /* the file ends in a part of a line */
	uint64_t missed, fails;
	struct metrics old, now; /* what the last line told, what this one tells */
	char line[LINE_SIZE];
	size_t len; /* LINE_SIZE: it did not fit */
} metrics;

/* --- the line --- */

static void put_bytes(const char *s, size_t n)
{
	if (n >= LINE_SIZE - metrics.len) {
		metrics.len = LINE_SIZE;
		return;
	}
	memcpy(metrics.line + metrics.len, s, n);
	metrics.len += n;
}

static void put(const char *s)
{
	put_bytes(s, strlen(s));
}

static void put_number(uint64_t n)
{
	char digits[20], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put_bytes(p, (size_t)(digits + sizeof(digits) - p));
}

/* "name": */
static void put_name(const char *name, const char *more)
{
	put("\"");
	put(name);
	if (more) {
		put("_");
		put(more);
	}
	put("\":");
}

/* The numbers of some keys, in their order; returns the one behind. */
static const uint64_t *put_keys(const struct key *key, unsigned keys, const uint64_t *val)
{
	put("{");
	for (unsigned i = 0; i < keys; i++) {
		if (i)
			put(",");
		put_name(key[i].name, NULL);
		if (key[i].kind == KIND_AGG)
			val = put_keys(agg_key, ARRAY_SIZE(agg_key), val);
		else
			put_number(*val++);
	}
	put("}");
	return val;
}

/*
 * What is told of the numbers at `now`, of which `old` have been told: `val`. A sum of devices has
 * no least and largest time.
 */
static const uint64_t *tell(const struct key *key, unsigned keys, const uint64_t *now,
			    const uint64_t *old, uint64_t *val, uint64_t *sum)
{
	for (unsigned i = 0; i < keys; i++) {
		if (key[i].kind == KIND_AGG) {
			tell(agg_key, ARRAY_SIZE(agg_key), now, old, val, sum);
			now += ARRAY_SIZE(agg_key);
			old += ARRAY_SIZE(agg_key);
			val += ARRAY_SIZE(agg_key);
			sum += ARRAY_SIZE(agg_key);
			continue;
		}
		/* A counter that went back belongs to a device that was made anew. */
		*val = key[i].kind == KIND_STORE || *now < *old ? *now : *now - *old;
		if (key[i].kind == KIND_COUNT)
			*sum += *val;
		now++;
		old++;
		val++;
		sum++;
	}
	return now;
}

#define NUMBERS_MAX 32 /* of a group */
_Static_assert(sizeof(struct metrics_net) <= NUMBERS_MAX * sizeof(uint64_t), "the largest fits");
_Static_assert(sizeof(struct metrics_memory_hotplug) <= NUMBERS_MAX * sizeof(uint64_t), "likewise");
_Static_assert(sizeof(struct metrics_put) <= NUMBERS_MAX * sizeof(uint64_t), "likewise");

/* The devices of a kind, each by its name, and their sum. */
static void put_devices(const struct group *g, unsigned n, const char *const *id)
{
	uint64_t val[NUMBERS_MAX] = {0}, sum[NUMBERS_MAX] = {0};

	for (unsigned i = 0; i < n; i++) {
		size_t at = g->offset + i * g->n * sizeof(uint64_t);

		tell(g->key, g->keys, (const uint64_t *)((char *)&metrics.now + at),
		     (const uint64_t *)((char *)&metrics.old + at), val, sum);
		put(",");
		put_name(g->name, id[i]);
		put_keys(g->key, g->keys, val);
	}
	put(",");
	put_name(g->name, NULL);
	put_keys(g->key, g->keys, sum);
}

static void put_group(const struct group *g)
{
	uint64_t val[NUMBERS_MAX], sum[NUMBERS_MAX];

	tell(g->key, g->keys, (const uint64_t *)((char *)&metrics.now + g->offset),
	     (const uint64_t *)((char *)&metrics.old + g->offset), val, sum);
	put(",");
	put_name(g->name, NULL);
	put_keys(g->key, g->keys, val);
}

static void put_line(void)
{
	struct timespec utc;

	metrics.len = 0;
	if (metrics.torn)
		put("\n");
	clock_gettime(CLOCK_REALTIME, &utc);
	put("{\"utc_timestamp_ms\":");
	put_number((uint64_t)utc.tv_sec * 1000 + (uint64_t)utc.tv_nsec / 1000000);
	if (metrics.id) {
		put(",\"id\":\"");
		put(metrics.id);
		put("\"");
	}
	if (metrics.properties) {
		put(",\"properties\":");
		put(metrics.properties);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(group); i++)
		if (i == GROUP_BLOCK)
			put_devices(&group[i], metrics.now.blocks, metrics.now.block_id);
		else if (i == GROUP_NET)
			put_devices(&group[i], metrics.now.nets, metrics.now.net_id);
		else
			put_group(&group[i]);
	put("}\n");
}

static void collect(void)
{
	struct metrics *m = &metrics.now;

	memset(m, 0, sizeof(*m));
	if (metrics.fill)
		metrics.fill(metrics.ctx, m);
	m->blocks = MIN(m->blocks, METRICS_BLOCKS);
	m->nets = MIN(m->nets, METRICS_NETS);
	m->api = metrics_api;
	m->signals = metrics_signals;
	m->seccomp = metrics_seccomp;
	m->logger = (struct metrics_logger){.missed_metrics_count = metrics.missed,
					    .metrics_fails = metrics.fails,
					    .missed_log_count = logger_missed(),
					    .rate_limited_log_count = log_guest_dropped()};
}

int metrics_write(void)
{
	ssize_t n;
	int err;

	if (!metrics.on)
		return 0;
	collect();
	put_line();
	if (metrics.len == LINE_SIZE) {
		metrics.fails++;
		return log_fail(EMSGSIZE, "metrics: the line is longer than %llu bytes", LINE_SIZE);
	}
	n = write(metrics.fd, metrics.line, metrics.len);
	err = n < 0 ? errno : EAGAIN;
	if (n == (ssize_t)metrics.len) {
		metrics.torn = false;
		metrics.old = metrics.now;
		return 0;
	}
	/* A newline alone mends what was torn; nothing taken leaves it as it is. */
	if (n > 0)
		metrics.torn = n > 1 || !metrics.torn;
	metrics.missed++;
	return log_fail(err, "Failed to write metrics: %s", os_error(err));
}

/* --- when and where --- */

int metrics_init(const char *path, const char *id, const char *properties, char *why, size_t len)
{
#define BAD_INPUT "Cannot initialize the metrics system due to bad user input: "
	int fd, err;

	if (metrics.on) {
		snprintf(why, len, BAD_INPUT "Reinitialization of metrics not allowed.");
		return -EALREADY;
	}
	/* Read as well, so that a FIFO can be opened before anybody reads it. */
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	if (fd < 0) {
		err = errno;
		snprintf(why, len, BAD_INPUT "%s", os_error(err));
		return -err;
	}
	metrics.on = true;
	metrics.fd = fd;
	metrics.id = id;
	metrics.properties = properties;
	return 0;
}

bool metrics_on(void)
{
	return metrics.on;
}

void metrics_source(void (*fill)(void *ctx, struct metrics *m), void *ctx)
{
	metrics.fill = fill;
	metrics.ctx = ctx;
}

uint64_t metrics_tick(uint64_t now)
{
	if (!metrics.on)
		return NEVER;
	if (now >= metrics.due) {
		metrics_write();
		metrics.due = now + METRICS_PERIOD;
	}
	return metrics.due;
}

static uint64_t microseconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void metrics_startup(uint64_t start_us, uint64_t start_cpu_us, uint64_t parent_cpu_us)
{
	if (start_us != FC_NOT_GIVEN)
		metrics_api.server.process_startup_time_us =
			microseconds(CLOCK_MONOTONIC) - start_us;
	if (start_cpu_us != FC_NOT_GIVEN)
		metrics_api.server.process_startup_time_cpu_us =
			microseconds(CLOCK_PROCESS_CPUTIME_ID) - start_cpu_us +
			(parent_cpu_us != FC_NOT_GIVEN ? parent_cpu_us : 0);
}
