/*
 * blk.h - virtio block device over a raw file or block device [virtio 1.2, 5.2]. Contents are never
 * looked at: there is no other format than raw.
 */
#pragma once
#include "../watch.h"
#include "blk_file.h"
#include "blk_io.h"
#include "blk_pace.h"
#include "limiter.h"
#include "virtio.h"

#define BLK_QUEUES_MAX 8u
#define BLK_FILES_MAX  4u   /* the disk's, and such as were replaced with requests in flight */
#define BLK_SLOTS      256u /* requests in flight, of all queues */
#define BLK_IOV_FEW    16u  /* buffers that a slot itself holds */
#define BLK_STEADY     32u  /* so many requests of the simple kind, and the worker gets the bell */
#define BLK_TABLES     16u  /* iovecs for slots that need more */

enum blk_cache {
	BLK_CACHE_WRITEBACK, /* flush is offered, and reaches the medium */
	BLK_CACHE_UNSAFE,    /* no flush is offered: what Firecracker calls Unsafe */
};

struct blk_conf {
	const char *path;
	int fd; /* if above 0: open already, and `path` is its name */
	bool readonly;
	enum blk_cache cache;
	char id[BLK_ID_LEN + 1]; /* what GET_ID gives; "": from device and inode, as Firecracker */
	unsigned queues;         /* 1..BLK_QUEUES_MAX */
	struct limit_conf bytes, ops;
};

struct blk_counters {
	uint64_t reads, writes, flushes, discards, zeroes; /* requests carried out */
	uint64_t read_bytes, write_bytes;
	uint64_t cached;  /* reads and writes that the page cache answered within the turn */
	uint64_t refused; /* IOERR or UNSUPP without a look at the file; also in dev.errors */
};

struct blk_slot;
struct blk_table;

struct blk {
	struct virtio_dev dev;
	struct blk_io *io;
	struct blk_user user;
	bool readonly;
	enum blk_cache cache;
	char id[BLK_ID_LEN + 1]; /* the user's; "": the file's */
	struct blk_file file[BLK_FILES_MAX];
	unsigned current; /* of file */

	struct blk_slot *slot; /* BLK_SLOTS of them; memory is touched as far as it was needed */
	struct blk_slot *free_slot;
	struct blk_table *free_table;
	unsigned slots_used, tables_used; /* such as have ever been taken */
	unsigned in_flight;
	unsigned writing;    /* ... of such as may wait in the page cache */
	bool starved;        /* a queue waits for a slot or a table */
	bool hushed;         /* the driver does not notify, since `writing` */
	uint8_t busy;        /* so many rows of `writing` until it counts as idle */
	unsigned steady;     /* so many requests, and no other lately, were such as it takes */
	bool lent;           /* the worker hears the bell */
	bool asked;          /* ... and has called the loop, which is to take it back */
	uint64_t row_at;     /* ... and when it began what it is at */
	bool by_worker;      /* this turn is the worker's, which puts ... */
	struct blk_list row; /* ... what is to be written here */
	struct blk_pace pace;
	uint64_t chains_seen; /* ... of dev.chains */
	uint8_t stuck;        /* a bit a queue: requests wait in it that could not be taken */
	unsigned next;        /* queue that is looked at first */
	uint64_t budget;      /* bytes that this turn may still copy out of the page cache */
	struct limiter limit;
	struct blk_counters count;
};

/* Opens the file and makes the device. 0 or -errno, logged. Before lock-down; must not move. */
int blk_init(struct blk *b, const struct blk_conf *c, const struct virtio_host *host,
	     const struct ram *ram, struct blk_io *io);
/* Nothing may be in flight. */
void blk_finish(struct blk *b);
/*
 * Loop's thread, any time: from now on the disk is `path`, opened as the first was; the guest gets
 * a configuration change. Requests in flight end on the old file. 0 or -errno, logged; -EBUSY when
 * too many replaced files still have requests.
 */
int blk_replace(struct blk *b, const char *path);
void blk_set_limits(struct blk *b, const struct limit_conf *bytes, const struct limit_conf *ops);
/* What GET_ID gives: BLK_ID_LEN bytes, zeros behind a shorter one. */
const char *blk_id(const struct blk *b);
