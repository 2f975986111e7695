/*
 * config.h - the machine as Firecracker's clients describe it, one resource after the other: checks
 * and sentences are Firecracker's. Nothing runs here; a call that fails changes nothing. Files are
 * opened when they are named.
 */
#pragma once
#include "../machine.h"
#include "json.h"

#define CONFIG_WHY         512u
#define CONFIG_CMDLINE_MAX 2048u /* with the NUL, as in Firecracker */
#define CONFIG_VCPUS_MAX   32u
#define CONFIG_BAD_ID      "minnow takes no ID with blanks, quotes, backslashes or bytes beyond ASCII"
#define CONFIG_FIELDS      10u /* at most, in a table */

/* Opens for it; the unit tests and the fuzzer have their own. Descriptors, or -errno, logged. */
struct config_files {
	void *ctx;
	int (*disk)(void *ctx, const char *path, bool readonly);
	int (*image)(void *ctx, const char *what, const char *path);
	int (*vsock)(void *ctx, const char *path);
	int (*tap)(void *ctx, const char *name);
	void (*close)(void *ctx, int fd);
	void (*remove)(void *ctx, const char *path); /* of a socket that is not wanted any more */
	/* All of a text file, NUL-terminated, from malloc(); NULL with errno. */
	char *(*read)(void *ctx, const char *path, size_t max, size_t *len);
};

extern const struct config_files config_host; /* the real ones */

struct config_limits {
	struct limit_conf bytes, ops; /* all zero: none */
};

struct config_boot {
	char *kernel, *initrd, *args; /* kernel NULL: not given; the others as well */
	int kernel_fd, initrd_fd;     /* 0: none */
};

enum config_pages { CONFIG_PAGES_NONE, CONFIG_PAGES_THP, CONFIG_PAGES_2M };

struct config_vm {
	unsigned vcpus;
	uint64_t mem_mib;
	bool smt, track_dirty_pages;
	enum config_pages pages;
};

struct config_drive {
	char *id, *path, *partuuid;
	bool root, readonly, writeback, async;
	struct config_limits limits;
	int fd;
};

struct config_net {
	char *id, *tap;
	bool has_mac;
	bool mmds; /* the metadata service answers here */
	uint8_t mac[6];
	uint16_t mtu; /* 0: not given */
	struct config_limits rx, tx;
	int fd;
};

struct config_vsock {
	uint32_t cid;
	char *path; /* NULL: there is none */
	int fd;
};

struct config_balloon {
	bool present, deflate_on_oom, reporting;
	uint32_t amount_mib;
	uint16_t interval_s; /* 0: no statistics */
};

struct config_mmds {
	bool v2, imds_compat;
	uint32_t ipv4; /* 169.254.169.254 is 0xa9fea9fe */
};

struct api_config {
	const struct config_files *files;
	bool pci;
	struct config_boot boot;
	struct config_vm vm;
	struct cpu_template *cpu; /* NULL: the host's */
	unsigned drives, nets;
	struct config_drive drive[DISKS_MAX]; /* the root drive first */
	struct config_net net[NETS_MAX];
	struct config_vsock vsock;
	struct config_balloon balloon;
	bool entropy;
	struct config_limits entropy_limits;
	char *serial; /* NULL: stdout */
	struct limit_conf serial_limit;
	struct config_mmds mmds; /* meant if some net[].mmds */

	/* What config_machine() makes. */
	struct machine_conf machine;
	char cmdline[CONFIG_CMDLINE_MAX];
};

void config_init(struct api_config *c, const struct config_files *files, bool pci);
void config_finish(struct api_config *c);
/* The machine has started, with duplicates: a file that it is not given any more is nobody's. */
void config_started(struct api_config *c);

/*
 * Resources by name: `table` says what a body looks like, `set` takes the values that it gave.
 * 0, or -EINVAL with one sentence in `why`, CONFIG_WHY bytes.
 */
struct config_resource {
	struct json_table table;
	int (*set)(struct api_config *c, const json_t *const *got, char *why);
};

extern const struct config_resource config_boot_source, config_machine_put, config_machine_patch,
	config_drive_put, config_net_put, config_vsock_put, config_balloon_put, config_entropy_put,
	config_serial_put, config_mmds_put;

/* Fields that others look at, by their place in a table. */
enum { CONFIG_ID }; /* of drives and networks */
enum { CONFIG_MACHINE_TEMPLATE = 3 };
enum { CONFIG_VSOCK_ID = 0 };
enum { CONFIG_MMDS_VERSION = 0 };

/* A part of a rate limiter that a body changes. */
struct config_change {
	bool bytes, ops;
	struct config_limits to;
};

/* What PATCH gives while the machine runs; the caller has it done before it is written down. */
extern const struct json_table config_drive_patch, config_net_patch;
enum { CONFIG_PATCH_ID, CONFIG_PATCH_PATH, CONFIG_PATCH_LIMITS };
enum { CONFIG_PATCH_RX = 1, CONFIG_PATCH_TX };

/* Metrics name devices by it, as it is. */
bool config_is_id(const char *s);
int config_find_drive(const struct api_config *c, const char *id); /* -1: there is none */
int config_find_net(const struct api_config *c, const char *id);
/* A rate limiter, as its table has passed it; NULL: none. */
void config_change(const json_t *v, struct config_change *to);
void config_apply(struct config_limits *l, const struct config_change *by);
void config_set_path(struct api_config *c, unsigned drive, const char *path);
bool config_has_mmds(const struct api_config *c);

/* What is started: c->machine. 0, or -errno with a sentence in `why`. */
int config_machine(struct api_config *c, char *why);

/* JSON, with the keys in Firecracker's order. */
void config_put_vm(const struct api_config *c, struct json_out *o);
void config_put_balloon(const struct api_config *c, struct json_out *o);
void config_put_all(const struct api_config *c, struct json_out *o);

/* --- between the files of the configuration --- */

extern const char *const config_page_words[],
	*const config_engine_words[], *const config_cache_words[], *const config_version_words[];
extern const struct json_table config_limiter_table, config_bucket_table;

/* Writes `why`; -EINVAL. */
int config_refuse(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A copy of a string in `*to`; NULL stays NULL. False: no memory. */
bool config_keep(char **to, const json_t *v);
void config_bucket(const json_t *v, struct limit_conf *to);
void config_drop_drives(struct api_config *c);
void config_drop_nets(struct api_config *c);
