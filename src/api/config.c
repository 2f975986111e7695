/*
 * config.c - boot source, machine, vsock, balloon, entropy, serial console and metadata as clients
 * describe them. Drives are in config_drive.c, networks in config_net.c.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../log.h"
#include "os_error.h"

#define MEM_DEFAULT_MIB 128u
#define MMDS_IPV4       0xa9fea9feu
#define NS_IN_MS        1000000u

#define TABLE(n_, f) .table = {.name = (n_), .n = ARRAY_SIZE(f), .field = (f)}

const char *const config_page_words[] = {"None", "Transparent", "2M", NULL};
const char *const config_version_words[] = {"V1", "V2", NULL};

int config_refuse(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, CONFIG_WHY, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

bool config_keep(char **to, const json_t *v)
{
	*to = v ? strdup(json_string_value(v)) : NULL;
	return *to || !v;
}

static int no_memory(char *why)
{
	return config_refuse(why, "%s", os_error(ENOMEM));
}

/* A file may have other names than requests: "root-fs". */
bool config_is_id(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || *s == '"' || *s == '\\')
			return false;
	return true;
}

/* --- rate limiters --- */

// clang-format off
static const struct json_field bucket_fields[] = {
	{"size",           JSON_KIND_U64, JSON_REQUIRED, .words = NULL},
	{"one_time_burst", JSON_KIND_U64, JSON_OPTIONAL, .words = NULL},
	{"refill_time",    JSON_KIND_U64, JSON_REQUIRED, .words = NULL},
};
const struct json_table config_bucket_table = {
	.name = "TokenBucketConfig", .open = true, .n = ARRAY_SIZE(bucket_fields),
	.field = bucket_fields};

static const struct json_field limiter_fields[] = {
	{"bandwidth", JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &config_bucket_table},
	{"ops",       JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &config_bucket_table},
};
const struct json_table config_limiter_table = {
	.name = "RateLimiterConfig", .n = ARRAY_SIZE(limiter_fields), .field = limiter_fields};
// clang-format on

/* Zero in size or time means no limit; so does a time that Firecracker cannot count in ns. */
void config_bucket(const json_t *v, struct limit_conf *to)
{
	const json_t *burst = json_object_get(v, "one_time_burst");

	*to = (struct limit_conf){.size = json_u64(json_object_get(v, "size"), 0),
				  .refill_ms = json_u64(json_object_get(v, "refill_time"), 0),
				  .burst = json_is_null(burst) ? 0 : json_u64(burst, 0)};
	if (!to->size || !to->refill_ms || to->refill_ms > UINT64_MAX / NS_IN_MS)
		*to = (struct limit_conf){0};
}

void config_change(const json_t *v, struct config_change *to)
{
	const json_t *bytes = json_object_get(v, "bandwidth"), *ops = json_object_get(v, "ops");

	*to = (struct config_change){.bytes = json_is_object(bytes), .ops = json_is_object(ops)};
	if (to->bytes)
		config_bucket(bytes, &to->to.bytes);
	if (to->ops)
		config_bucket(ops, &to->to.ops);
}

void config_apply(struct config_limits *l, const struct config_change *by)
{
	if (by->bytes)
		l->bytes = by->to.bytes;
	if (by->ops)
		l->ops = by->to.ops;
}

/* --- boot source --- */

// clang-format off
static const struct json_field boot_fields[] = {
	{"kernel_image_path", JSON_KIND_STRING, JSON_REQUIRED, .words = NULL},
	{"initrd_path",       JSON_KIND_STRING, JSON_OPTIONAL, .words = NULL},
	{"boot_args",         JSON_KIND_STRING, JSON_OPTIONAL, .words = NULL},
};
// clang-format on

static void boot_drop(struct api_config *c, struct config_boot *b)
{
	if (b->kernel_fd > 0)
		c->files->close(c->files->ctx, b->kernel_fd);
	if (b->initrd_fd > 0)
		c->files->close(c->files->ctx, b->initrd_fd);
	free(b->kernel);
	free(b->initrd);
	free(b->args);
	*b = (struct config_boot){0};
}

/* -EINVAL is of a file that is there and of the wrong kind: only the log has the sentence. */
static const char *image_error(int err)
{
	return err == -EINVAL && *log_last() ? log_last() : os_error(err);
}

static int boot_open(struct api_config *c, struct config_boot *b, char *why)
{
	b->kernel_fd = c->files->image(c->files->ctx, "kernel", b->kernel);
	if (b->kernel_fd < 0)
		return config_refuse(why, "The kernel file cannot be opened: %s",
				     image_error(b->kernel_fd));
	if (!b->initrd)
		return 0;
	b->initrd_fd = c->files->image(c->files->ctx, "initrd", b->initrd);
	if (b->initrd_fd < 0)
		return config_refuse(why,
				     "The initrd file cannot be opened due to invalid path or "
				     "invalid permissions. %s",
				     image_error(b->initrd_fd));
	return 0;
}

static int boot_set(struct api_config *c, const json_t *const *got, char *why)
{
	struct config_boot b = {0};
	int err = 0;

	if (!config_keep(&b.kernel, got[0]) || !config_keep(&b.initrd, got[1]) ||
	    !config_keep(&b.args, got[2]))
		err = no_memory(why);
	if (!err)
		err = boot_open(c, &b, why);
	if (!err && b.args && strlen(b.args) >= CONFIG_CMDLINE_MAX)
		err = config_refuse(why, "The kernel command line is invalid: Invalid cmdline "
					 "capacity provided.");
	boot_drop(c, err ? &b : &c->boot);
	if (!err)
		c->boot = b;
	return err;
}

const struct config_resource config_boot_source = {TABLE("BootSourceConfig", boot_fields),
						   .set = boot_set};

/* --- machine --- */

static const char *const template_words[] = {"C3", "T2", "T2S", "None", "T2CL", "T2A", NULL};

#define MACHINE_FIELDS(need_, need_rest)                                                           \
	{                                                                                          \
		{"vcpu_count", JSON_KIND_U8, need_, .words = NULL},                                \
			{"mem_size_mib", JSON_KIND_SIZE, need_, .words = NULL},                    \
			{"smt", JSON_KIND_BOOL, need_rest, .words = NULL},                         \
			{"cpu_template", JSON_KIND_CHOICE, JSON_OPTIONAL,                          \
			 .words = template_words},                                                 \
			{"track_dirty_pages", JSON_KIND_BOOL, need_rest, .words = NULL},           \
			{"huge_pages", JSON_KIND_CHOICE, need_rest, .words = config_page_words},   \
	}

static const struct json_field machine_fields[] = MACHINE_FIELDS(JSON_REQUIRED, JSON_DEFAULT);
static const struct json_field update_fields[] = MACHINE_FIELDS(JSON_OPTIONAL, JSON_OPTIONAL);

static int machine_set(struct api_config *c, const json_t *const *got, const struct config_vm *none,
		       char *why)
{
	struct config_vm vm = {
		.vcpus = (unsigned)json_u64(got[0], c->vm.vcpus),
		.mem_mib = json_u64(got[1], c->vm.mem_mib),
		.smt = json_bool(got[2], none->smt),
		.track_dirty_pages = json_bool(got[4], none->track_dirty_pages),
		.pages = (enum config_pages)json_choice(got[5], config_page_words, none->pages),
	};
	const char *template = got[CONFIG_MACHINE_TEMPLATE]
				       ? json_string_value(got[CONFIG_MACHINE_TEMPLATE])
				       : "None";

	if (!vm.vcpus || vm.vcpus > CONFIG_VCPUS_MAX || (vm.smt && vm.vcpus > 1 && vm.vcpus % 2))
		return config_refuse(why, "The number of vCPUs must be greater than 0, less than "
					  "32 and must be 1 or an even number if SMT is enabled.");
	if (!vm.mem_mib || (vm.pages && vm.mem_mib % 2))
		return config_refuse(why, "The memory size (MiB) is either 0, or not a multiple of "
					  "the configured page size.");
	if (strcmp(template, "None"))
		return config_refuse(why,
				     "minnow has no static CPU template %s: give its contents to "
				     "PUT /cpu-config as a custom one",
				     template);
	if (c->balloon.present && vm.mem_mib < c->balloon.amount_mib)
		return config_refuse(why, "The memory size (MiB) is smaller than the previously "
					  "set balloon device target size.");
	c->vm = vm;
	return 0;
}

/* A PUT sets what it leaves out to the defaults. */
static int machine_put(struct api_config *c, const json_t *const *got, char *why)
{
	static const struct config_vm none;

	return machine_set(c, got, &none, why);
}

static int machine_patch(struct api_config *c, const json_t *const *got, char *why)
{
	return machine_set(c, got, &c->vm, why);
}

const struct config_resource config_machine_put = {TABLE("MachineConfig", machine_fields),
						   .set = machine_put};
const struct config_resource config_machine_patch = {TABLE("MachineConfigUpdate", update_fields),
						     .set = machine_patch};

/* --- vsock --- */

// clang-format off
static const struct json_field vsock_fields[] = {
	{"vsock_id",  JSON_KIND_STRING, JSON_OPTIONAL, .words = NULL}, /* deprecated: not kept */
	{"guest_cid", JSON_KIND_U32,    JSON_REQUIRED, .words = NULL},
	{"uds_path",  JSON_KIND_STRING, JSON_REQUIRED, .words = NULL},
};
// clang-format on

static void vsock_drop(struct api_config *c)
{
	if (c->vsock.fd > 0)
		c->files->close(c->files->ctx, c->vsock.fd);
	if (c->vsock.path)
		c->files->remove(c->files->ctx, c->vsock.path);
	free(c->vsock.path);
	c->vsock = (struct config_vsock){0};
}

/* Any CID is taken: containerd's client gives 0. The socket is bound now; with the same path, it
 * is. */
static int vsock_set(struct api_config *c, const json_t *const *got, char *why)
{
	struct config_vsock v = {.cid = (uint32_t)json_u64(got[1], 0)};

	if (c->vsock.path && !strcmp(c->vsock.path, json_string_value(got[2]))) {
		c->vsock.cid = v.cid;
		return 0;
	}
	if (!config_keep(&v.path, got[2]))
		return no_memory(why);
	v.fd = c->files->vsock(c->files->ctx, v.path);
	if (v.fd < 0) {
		free(v.path);
		return config_refuse(why,
				     "Cannot create backend for vsock device: Error binding to the "
				     "host-side Unix socket: %s",
				     os_error(v.fd));
	}
	vsock_drop(c);
	c->vsock = v;
	return 0;
}

const struct config_resource config_vsock_put = {TABLE("VsockDeviceConfig", vsock_fields),
						 .set = vsock_set};

/* --- balloon, entropy, serial console --- */

// clang-format off
static const struct json_field balloon_fields[] = {
	{"amount_mib",               JSON_KIND_U32,  JSON_REQUIRED, .words = NULL},
	{"deflate_on_oom",           JSON_KIND_BOOL, JSON_REQUIRED, .words = NULL},
	{"stats_polling_interval_s", JSON_KIND_U16,  JSON_DEFAULT,  .words = NULL},
	{"free_page_hinting",        JSON_KIND_BOOL, JSON_DEFAULT,  .words = NULL},
	{"free_page_reporting",      JSON_KIND_BOOL, JSON_DEFAULT,  .words = NULL},
};
static const struct json_field entropy_fields[] = {
	{"rate_limiter", JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &config_limiter_table},
};
static const struct json_field serial_fields[] = {
	{"serial_out_path", JSON_KIND_PATH,   JSON_OPTIONAL, .words = NULL},
	{"rate_limiter",    JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &config_bucket_table},
};
// clang-format on

static int balloon_set(struct api_config *c, const json_t *const *got, char *why)
{
	struct config_balloon b = {.present = true,
				   .amount_mib = (uint32_t)json_u64(got[0], 0),
				   .deflate_on_oom = json_bool(got[1], false),
				   .interval_s = (uint16_t)json_u64(got[2], 0),
				   .reporting = json_bool(got[4], false)};

	if (b.amount_mib > c->vm.mem_mib)
		return config_refuse(why, "Amount of pages requested is too large.");
	if (b.amount_mib > UINT32_MAX / 256)
		return config_refuse(why,
				     "Error creating the balloon device: Requested memory should "
				     "be less than %uMiB",
				     UINT32_MAX / 256);
	if (json_bool(got[3], false))
		return config_refuse(why, "minnow's balloon has no free_page_hinting: use "
					  "free_page_reporting, which needs no calls");
	c->balloon = b;
	return 0;
}

static int entropy_set(struct api_config *c, const json_t *const *got, char *why)
{
	struct config_change l;

	config_change(got[0], &l);
	c->entropy = true;
	c->entropy_limits = l.to;
	return 0;
}

static int serial_set(struct api_config *c, const json_t *const *got, char *why)
{
	char *path;

	if (!config_keep(&path, got[0]))
		return no_memory(why);
	free(c->serial);
	c->serial = path;
	c->serial_limit = (struct limit_conf){0};
	if (got[1])
		config_bucket(got[1], &c->serial_limit);
	return 0;
}

const struct config_resource config_balloon_put = {TABLE("BalloonDeviceConfig", balloon_fields),
						   .set = balloon_set};
const struct config_resource config_entropy_put = {TABLE("EntropyDeviceConfig", entropy_fields),
						   .set = entropy_set};
const struct config_resource config_serial_put = {TABLE("SerialConfig", serial_fields),
						  .set = serial_set};

/* --- metadata --- */

static const char *check_ipv4(const char *s)
{
	struct in_addr a;

	return inet_pton(AF_INET, s, &a) == 1 ? NULL : "invalid IPv4 address syntax";
}

// clang-format off
static const struct json_field mmds_fields[] = {
	{"version",            JSON_KIND_CHOICE,  JSON_DEFAULT,  .words = config_version_words},
	{"network_interfaces", JSON_KIND_STRINGS, JSON_REQUIRED, .words = NULL},
	{"ipv4_address",       JSON_KIND_STRING,  JSON_OPTIONAL, .check = check_ipv4},
	{"imds_compat",        JSON_KIND_BOOL,    JSON_DEFAULT,  .words = NULL},
};
// clang-format on

/* 169.254.0.0/16 but for its first and last 256 addresses [RFC 3927, 2.1]. */
static bool is_link_local(uint32_t a)
{
	return a >> 16 == 0xa9fe && ((a >> 8) & 0xff) != 0 && ((a >> 8) & 0xff) != 0xff;
}

static int mmds_set(struct api_config *c, const json_t *const *got, char *why)
{
	struct config_mmds m = {.v2 = json_choice(got[0], config_version_words, 0) == 1,
				.imds_compat = json_bool(got[3], false),
				.ipv4 = MMDS_IPV4};
	bool on[NETS_MAX] = {false};
	struct in_addr a;

	if (got[2] && inet_pton(AF_INET, json_string_value(got[2]), &a) == 1)
		m.ipv4 = ntohl(a.s_addr);
	if (!is_link_local(m.ipv4))
		return config_refuse(why, "The MMDS IPv4 address is not link local.");
	if (!json_array_size(got[1]))
		return config_refuse(why, "The list of network interface IDs that allow forwarding "
					  "MMDS requests is empty.");
	for (size_t i = 0; i < json_array_size(got[1]); i++) {
		int net = config_find_net(c, json_string_value(json_array_get(got[1], i)));

		if (net < 0)
			return config_refuse(why, "The list of network interface IDs provided "
						  "contains at least one ID that does not "
						  "correspond to any existing network interface.");
		on[net] = true;
	}
	for (unsigned i = 0; i < c->nets; i++)
		c->net[i].mmds = on[i];
	c->mmds = m;
	return 0;
}

bool config_has_mmds(const struct api_config *c)
{
	bool has = false;

	for (unsigned i = 0; i < c->nets; i++)
		has |= c->net[i].mmds;
	return has;
}

const struct config_resource config_mmds_put = {TABLE("MmdsConfig", mmds_fields), .set = mmds_set};

/* --- all of it --- */

void config_init(struct api_config *c, const struct config_files *files, bool pci)
{
	*c = (struct api_config){
		.files = files, .pci = pci, .vm = {.vcpus = 1, .mem_mib = MEM_DEFAULT_MIB}
        };
}

static void let_go(struct api_config *c, int *fd)
{
	if (*fd > 0)
		c->files->close(c->files->ctx, *fd);
	*fd = 0;
}

void config_started(struct api_config *c)
{
	let_go(c, &c->boot.kernel_fd);
	let_go(c, &c->boot.initrd_fd);
	let_go(c, &c->vsock.fd);
	for (unsigned i = 0; i < c->drives; i++)
		let_go(c, &c->drive[i].fd);
	for (unsigned i = 0; i < c->nets; i++)
		let_go(c, &c->net[i].fd);
}

void config_finish(struct api_config *c)
{
	boot_drop(c, &c->boot);
	vsock_drop(c);
	free(c->serial);
	c->serial = NULL;
	config_drop_drives(c);
	config_drop_nets(c);
}
