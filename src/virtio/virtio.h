/*
 * virtio.h - what all virtio devices share: status, features, queue settings, configuration space
 * [virtio 1.2, 2]. The transports (pc/vpci.c, pc/vmmio.c) turn register accesses into these calls,
 * the devices (virtio/blk.c and others) fill a struct virtio_ops.
 *
 * Lock rule: all of a device is under its own lock, taken before the board lock, never after. vCPU
 * threads come through the transport's registers; the loop's thread through virtio_service(),
 * virtio_tick() and the device's own descriptors. The device's functions in struct virtio_ops are
 * called from the loop's thread alone, so that they may use descriptors; registers never reach them
 * (but for config_write). What ends elsewhere may be answered there, under the lock, and what was
 * lent to another thread of ours may be taken from the queues there (blk.c).
 *
 * Life: reset -> (features, queues) -> DRIVER_OK: the vCPU latches the queues and kicks; the loop
 * calls ops->start(), then ops->notify(). Status 0 on a started device: nothing is processed any
 * more; the loop calls ops->stop() once and, when nothing is in flight, resets the registers:
 * status reads 0 from then on. A device that was not started is reset at once.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "queue.h"

#define VIRTIO_QUEUES     17u /* the most that a device has: eight pairs and a control queue */
#define VIRTIO_CONFIG_MAX 64u /* bytes */

/* Device IDs [virtio 1.2, 5]. */
#define VIRTIO_ID_NET     1u
#define VIRTIO_ID_BLK     2u
#define VIRTIO_ID_RNG     4u
#define VIRTIO_ID_BALLOON 5u
#define VIRTIO_ID_VSOCK   19u

/* Device status [2.1]. */
#define VIRTIO_S_ACKNOWLEDGE 0x01u
#define VIRTIO_S_DRIVER      0x02u
#define VIRTIO_S_DRIVER_OK   0x04u
#define VIRTIO_S_FEATURES_OK 0x08u
#define VIRTIO_S_NEEDS_RESET 0x40u
#define VIRTIO_S_FAILED      0x80u

/* Features of the transport and the ring [6]. */
#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)

struct virtio_dev;

struct virtio_ops {
	const char *name; /* "blk", "net", ... */
	uint16_t id;      /* VIRTIO_ID_* */
	/* The driver is there; d->acked and the queues hold. NULL: nothing to do. */
	void (*start)(struct virtio_dev *d);
	/* Queues may have new chains: the device looks at them all, at most once round each. */
	void (*notify)(struct virtio_dev *d);
	/*
	 * The driver is gone: cancel or let finish what is in flight; from now on no guest memory
	 * is touched but by I/O that is in flight. true: nothing is; false: the device calls
	 * virtio_stopped() when nothing is any more. NULL: nothing ever is.
	 */
	bool (*stop)(struct virtio_dev *d);
	/* d->deadline has passed. It was set to NEVER before the call. */
	void (*tick)(struct virtio_dev *d, uint64_t now);
	/*
	 * The device is broken: what it has of others' goes back. May be repeated; stop() follows
	 * with the driver's reset. NULL: it has nothing.
	 */
	void (*broke)(struct virtio_dev *d);
	/*
	 * The driver wrote to the configuration space; NULL: it is read-only. From a vCPU's thread;
	 * no descriptor may be used.
	 */
	void (*config_write)(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val);
	/*
	 * The eventfd at which a part of the kernel takes notifications of `queue` itself; -1: they
	 * are ours. The same from start to stop. NULL: all are. What comes as a register write
	 * nevertheless leads to notify().
	 */
	int (*kernel_bell)(struct virtio_dev *d, unsigned queue);
};

struct CAPABILITY("device lock") virtio_lock {
	pthread_mutex_t mutex;
};

/* What a device asks of the monitor. All may be called with the device lock held. */
struct virtio_host {
	void *ctx;
	/* Has the loop call virtio_service() soon. From any thread. */
	void (*kick)(void *ctx, struct virtio_dev *d);
	/* Has the loop turn at `deadline` ns, so that virtio_tick() is called. From any thread. */
	void (*wake_at)(void *ctx, uint64_t deadline);
	/*
	 * Connects the driver's notifications at guest-physical `gpa` to kick, or where
	 * ops->kernel_bell() says, instead of those at `old`; 0: none. Loop's thread. Until then
	 * they arrive as register writes.
	 */
	void (*bell)(void *ctx, struct virtio_dev *d, uint64_t old, uint64_t gpa);
	/*
	 * Whoever reads the eventfd that this returns hears the driver's notifications; the loop
	 * does not, but for kicks, until `away` is false. It blocks when read. Loop's thread. NULL:
	 * notifications are the loop's.
	 */
	int (*lend)(void *ctx, struct virtio_dev *d, bool away);
	/* Waits until the loop finished the reset. From a vCPU's thread, WITHOUT locks. */
	void (*await_reset)(void *ctx, struct virtio_dev *d);
};

/* The transport's interrupts. With the device lock held; takes the board lock. */
struct virtio_irq {
	void *ctx;
	void (*queue)(void *ctx, unsigned queue);
	void (*config)(void *ctx);
	/*
	 * The device was reset, from either thread: selects, interrupt status and vectors of the
	 * transport's own go back, and its line falls. NULL: nothing to do.
	 */
	void (*reset)(void *ctx);
	/*
	 * Eventfd `fd`, which a part of the kernel signals, interrupts for `queue`: without us
	 * while wired() says so; otherwise its signals are to be passed on by queue(). -1: no more,
	 * and none is under way. The queue is latched. Loop's thread. NULL: it always takes us.
	 */
	void (*wire)(void *ctx, unsigned queue, int fd);
	bool (*wired)(void *ctx, unsigned queue);
};

struct virtio_dev {
	struct virtio_lock lock;
	const struct virtio_ops *ops;
	const struct virtio_host *host;
	const struct ram *ram;
	struct virtio_irq irq; /* set by the transport */
	unsigned slot;         /* of the machine's devices; the host's key */

	uint64_t offered; /* features */
	uint64_t acked;   /* what the driver took; holds from FEATURES_OK on */
	uint8_t status;
	bool started;            /* DRIVER_OK was taken, and the queues latched */
	bool fresh;              /* ... and ops->start() is still to be called */
	bool stopping;           /* status 0 was written, and something may be in flight */
	bool stop_asked;         /* ... and ops->stop() was called */
	bool broken;             /* NEEDS_RESET is set: nothing is processed */
	bool paused;             /* by virtio_pause(): nothing is processed */
	bool again;              /* ops->notify() left chains: call it at the next turn */
	_Atomic uint32_t resets; /* finished; a futex for await_reset */

	unsigned queues;
	struct queue queue[VIRTIO_QUEUES];
	uint8_t config[VIRTIO_CONFIG_MAX];
	unsigned config_len;
	uint8_t generation; /* of config; wraps, and goes on across resets */
	bool config_news;   /* it changed before DRIVER_OK: the interrupt follows that */

	uint64_t bell;     /* where the driver notifies, kept by the transport; 0 = nowhere yet */
	uint64_t bell_set; /* what host->bell() was told */
	unsigned bell_len; /* bytes of a notification, by the transport: they hold the queue */
	uint64_t deadline; /* of ops->tick(); NEVER */

	/* Counters, for the timeline. */
	uint64_t kicks;      /* virtio_service() calls with a started device */
	uint64_t slow_kicks; /* notifications that came as register writes */
	uint64_t chains;     /* taken */
	uint64_t irqs;       /* interrupts sent, but for those that the kernel sends alone */
	uint64_t errors;     /* requests that failed, buffers that were dropped */
};

void virtio_lock(struct virtio_dev *d) ACQUIRE(d->lock);
void virtio_unlock(struct virtio_dev *d) RELEASE(d->lock);

/*
 * At creation, before any thread: `queues` of `size` entries, `features` beyond those of ring and
 * VERSION_1, which are always offered. The device then fills config and config_len.
 */
void virtio_init(struct virtio_dev *d, const struct virtio_ops *ops, const struct virtio_host *host,
		 const struct ram *ram, uint64_t features, unsigned queues, uint16_t size);

/* --- the transport's side: device lock held --- */

/* Status as the driver reads it: 0 only once a reset is done. */
uint8_t virtio_status(const struct virtio_dev *d) REQUIRES(d->lock);
/*
 * A write of the status register. Bits are added, in any number at once, never taken, but by 0,
 * which resets. FEATURES_OK is not taken without VERSION_1 or with bits that were not offered.
 * true: a reset is under way, for a transport whose driver does not read back.
 */
bool virtio_set_status(struct virtio_dev *d, uint8_t status) REQUIRES(d->lock);
/* 32 feature bits; `sel` 0 or 1, others read 0 and take nothing. */
uint32_t virtio_offered(const struct virtio_dev *d, uint32_t sel) REQUIRES(d->lock);
void virtio_ack(struct virtio_dev *d, uint32_t sel, uint32_t val) REQUIRES(d->lock);
uint32_t virtio_acked(const struct virtio_dev *d, uint32_t sel) REQUIRES(d->lock);
/*
 * The settings of queue `n`, to read; NULL if the device has no such queue. To write: NULL also
 * when they must not be changed any more (after DRIVER_OK, or while a reset is under way).
 */
const struct queue *virtio_queue(const struct virtio_dev *d, unsigned n) REQUIRES(d->lock);
struct queue *virtio_queue_rw(struct virtio_dev *d, unsigned n) REQUIRES(d->lock);
/* Sets the size if it is a power of two in 1..max; otherwise nothing changes. */
void virtio_queue_size(struct virtio_dev *d, unsigned n, uint16_t size) REQUIRES(d->lock);
/* Little-endian, any size of 1, 2, 4; beyond the end 0. */
uint32_t virtio_config_read(const struct virtio_dev *d, unsigned off, unsigned size)
	REQUIRES(d->lock);
void virtio_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
	REQUIRES(d->lock);
/* A notification that came as a register write. Before DRIVER_OK it is not lost: all queues are
 * looked at then. */
void virtio_notify(struct virtio_dev *d) REQUIRES(d->lock);

/* --- the device's side: device lock held, whichever of its threads --- */

/* The ring is broken: the driver has to reset. Nothing is processed until it does. */
void virtio_break(struct virtio_dev *d, const char *why) REQUIRES(d->lock);
/* queue_pop() that counts, and breaks the device when the ring is: 1 or 0. */
int virtio_pop(struct virtio_dev *d, unsigned n, struct chain *c) REQUIRES(d->lock);
/* queue_flush(), and the interrupt if the driver wants it. */
void virtio_flush(struct virtio_dev *d, unsigned n) REQUIRES(d->lock);
/* The configuration changed: generation and interrupt. */
void virtio_config_changed(struct virtio_dev *d) REQUIRES(d->lock);
/* After ops->stop() returned false: nothing is in flight any more. */
void virtio_stopped(struct virtio_dev *d) REQUIRES(d->lock);
/* May queues be processed: started, not broken, not stopping, not paused? */
bool virtio_live(const struct virtio_dev *d) REQUIRES(d->lock);
/* Asks for ops->tick() at `deadline`, unless an earlier one is asked for already. */
void virtio_wake_at(struct virtio_dev *d, uint64_t deadline) REQUIRES(d->lock);
/* Was the feature (one bit) negotiated? */
static inline bool virtio_has(const struct virtio_dev *d, uint64_t feature)
{
	return (d->acked & feature) != 0;
}

/* --- the loop's side: these take the lock --- */

/* After a kick, and at the next turn while d->again: starts, stops, processes. */
void virtio_service(struct virtio_dev *d);
/* Stops all processing, though not what is under way, and lets it go on. May be repeated. */
void virtio_pause(struct virtio_dev *d, bool paused);
/* Calls ops->tick() if due; the deadline that remains. */
uint64_t virtio_tick(struct virtio_dev *d, uint64_t now);
