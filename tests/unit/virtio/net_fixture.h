/*
 * net_fixture.h - a network device on a tap that is a socket pair, its driver, and a clock that
 * stands still. Included by one file of a program.
 */
#pragma once
#include <linux/virtio_ring.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "../../../src/virtio/net_io.h"
#include "../../lib/driver.h"
#include "../../lib/tun.h"
#include "../said.h"

#define NET_OFFLOADS                                                                               \
	(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 |                   \
	 VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 |               \
	 VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6 | VIRTIO_NET_F_HOST_USO)
#define BASIC  (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX)
#define QSIZE  256u
#define PACKET (TAP_HDR_LEN + NET_FRAME_MAX + 8192)

static uint64_t fake_now;
static struct ram ram;
static struct driver_host h;
static struct driver v[VIRTIO_QUEUES];
static struct net n;
static struct net_conf conf;
static struct watch *watched[3 * NET_PAIRS_MAX]; /* vhost has three a pair */
static unsigned watches, unwatched;
static int watch_err;
static uint8_t packet[PACKET], got[PACKET]; /* sent and received, with the header */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){.tv_sec = (time_t)(fake_now / NSEC),
				.tv_nsec = (long)(fake_now % NSEC)};
	return 0;
}

static int watch_add(void *ctx, struct watch *w)
{
	if (watch_err)
		return -watch_err;
	watched[watches++] = w;
	return 0;
}

static void watch_del(void *ctx, struct watch *w)
{
	assert_true(w->fd >= 0);
	w->fd = -1;
	unwatched++;
}

static const struct watcher watcher = {.add = watch_add, .del = watch_del};

static inline int setup(void **state)
{
	tun_reset();
	fake_now = 100 * NSEC;
	said_lines = watches = unwatched = 0;
	watch_err = 0;
	conf = (struct net_conf){.tap = "tap0", .fd = -1, .pairs = 1, .offload = true};
	ram = driver_ram(16 * MIB, 0);
	driver_host_init(&h);
	n = (struct net){0};
	for (unsigned i = 0; i < sizeof(packet); i++)
		packet[i] = (uint8_t)(i * 7 + i / 251);
	memset(packet, 0, TAP_HDR_LEN);
	return 0;
}

static inline int teardown(void **state)
{
	net_close(&n);
	tun_reset();
	driver_ram_free(&ram);
	return 0;
}

/* The rings of all queues, empty, each with 512 KiB; the driver takes `features` and is there. */
static inline void drive(uint64_t features, uint16_t size)
{
	for (unsigned i = 0; i < n.dev.queues; i++)
		driver_init(&v[i], &ram, 0x100000 + i * 0x80000ull, size, features);
	assert_true(driver_bring_up(&h, &n.dev, v, n.dev.queues, features));
}

static inline void make(void)
{
	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), 0);
	assert_int_equal(watches, conf.pairs);
}

static inline void up(uint64_t features)
{
	make();
	drive(BASIC | features, QSIZE);
}

/* The host's side of pair `pair`: the frame of `len` bytes in packet[], behind its header. */
static inline void host_send(unsigned pair, size_t len)
{
	assert_int_equal(send(tun.queue[pair].peer, packet, TAP_HDR_LEN + len, 0),
			 TAP_HDR_LEN + len);
}

/* Bytes of the next frame, which is in got[] behind its header; -1: there is none. */
static inline long host_recv(unsigned pair)
{
	ssize_t len = recv(tun.queue[pair].peer, got, sizeof(got), 0);

	return len < 0 ? -1 : (long)len - (long)TAP_HDR_LEN;
}

static inline struct net_hdr *hdr_in(uint8_t *p)
{
	return (struct net_hdr *)p;
}

static inline void ready(unsigned pair)
{
	watched[pair]->ready(watched[pair], WATCH_IN);
}

/* The loop's turns, with the time of the deadline that was asked for. */
static inline void wake(void)
{
	assert_true(h.wake_at != NEVER);
	fake_now = MAX(fake_now, h.wake_at);
	h.wake_at = NEVER;
	virtio_tick(&n.dev, fake_now);
	while (n.dev.again)
		driver_serve(&n.dev);
}

/*
 * Calls `then` when the device next stores into the page of `gpa`, just before the store: what a
 * driver on another CPU does at the worst moment.
 */
static uint8_t *trap_page;
static void (*trap_then)(void);

static void trapped(int sig, siginfo_t *info, void *context)
{
	if ((uintptr_t)info->si_addr - (uintptr_t)trap_page >= 4096)
		abort();
	mprotect(trap_page, 4096, PROT_READ | PROT_WRITE);
	trap_then();
	trap_then = NULL;
}

static inline void trap_store(uint64_t gpa, void (*then)(void))
{
	struct sigaction sa = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};

	trap_page = ram.host + gpa / 4096 * 4096;
	trap_then = then;
	assert_int_equal(sigaction(SIGSEGV, &sa, NULL), 0);
	assert_int_equal(mprotect(trap_page, 4096, PROT_READ), 0);
}

/* The rings' page was stored into. */
static inline void assert_trapped(void)
{
	assert_null(trap_then);
	signal(SIGSEGV, SIG_DFL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
