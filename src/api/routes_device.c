/* routes_device.c - requests about single devices and the metadata, before and after the start. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../log.h"
#include "os_error.h"
#include "routes.h"

#define NOT_FOUND "Failed perform action on device: Device not found"

static int not_supported(struct call *c, const char *what)
{
	return call_fault(c, "The requested operation is not supported: minnow has no %s.", what);
}

/* What Firecracker calls hot-plug, it has with PCI alone. */
static int no_hotplug(struct call *c)
{
	if (!c->api->conf.pci)
		return call_fault(c, "PCI is not enabled");
	return not_supported(c, "hot-plug of devices");
}

/* The ids of path and body are the same one; what they are is told of networks alone. */
static int device_request(struct call *c, const struct json_table *t, bool tell)
{
	const char *id;
	int err = call_id(c);

	if (!err)
		err = call_fields(c, t);
	if (err)
		return err;
	id = json_string_value(c->got[CONFIG_ID]);
	if (!strcmp(c->token[1], id))
		return 0;
	if (tell)
		return call_fault(c,
				  "The id from the path [%s] does not match the id from the body "
				  "[%s]!",
				  c->token[1], id);
	return call_fault(c, "The id from the path does not match the id from the body!");
}

/* --- drives --- */

int route_put_drive(struct call *c)
{
	int err = device_request(c, &config_drive_put.table, false);

	if (!err && c->api->state != MACHINE_NOT_STARTED) {
		call_any_time(c);
		return no_hotplug(c);
	}
	return err ? err : call_put(c, &config_drive_put, "Drive config error: ");
}

#define UPDATE_FAULT "Drive config error: Unable to patch the block device: "
#define UPDATE_TAIL  " Please verify the request arguments."

static int patch_path(struct call *c, unsigned drive)
{
	const struct api_vmm *v = &c->api->conf.vmm;
	const char *path = json_string_value(c->got[CONFIG_PATCH_PATH]);
	int err = v->disk_path(v->ctx, drive, path);

	if (err == -EINVAL || err == -EBUSY) /* not the system's: only the log has the sentence */
		return call_fault(c,
				  UPDATE_FAULT "Block: Virtio backend error: Error manipulating "
					       "the backing file: %s" UPDATE_TAIL,
				  log_last());
	if (err)
		return call_fault(c,
				  UPDATE_FAULT "Block: Virtio backend error: Error manipulating "
					       "the backing file: %s %s" UPDATE_TAIL,
				  os_error(err), path);
	config_set_path(&c->api->config, drive, path);
	return 0;
}

int route_patch_drive(struct call *c)
{
	const struct api_vmm *v = &c->api->conf.vmm;
	struct api_config *config = &c->api->config;
	struct config_change by;
	int err = device_request(c, &config_drive_patch, false), drive;

	if (!err)
		err = call_after_start(c);
	if (err)
		return err;
	drive = config_find_drive(config, c->token[1]);
	if (drive < 0)
		return call_fault(c, UPDATE_FAULT NOT_FOUND UPDATE_TAIL);
	if (!c->got[CONFIG_PATCH_PATH] && !c->got[CONFIG_PATCH_LIMITS])
		return call_fault(c, UPDATE_FAULT "Block: Running method expected different "
						  "backend." UPDATE_TAIL);
	if (c->got[CONFIG_PATCH_PATH])
		err = patch_path(c, (unsigned)drive);
	if (err || !c->got[CONFIG_PATCH_LIMITS])
		return err;
	config_change(c->got[CONFIG_PATCH_LIMITS], &by);
	v->disk_limits(v->ctx, (unsigned)drive, by.bytes ? &by.to.bytes : NULL,
		       by.ops ? &by.to.ops : NULL);
	config_apply(&config->drive[drive].limits, &by);
	return 0;
}

/* --- networks --- */

int route_put_net(struct call *c)
{
	int err = device_request(c, &config_net_put.table, true);

	if (!err && c->api->state != MACHINE_NOT_STARTED) {
		call_any_time(c);
		return no_hotplug(c);
	}
	return err ? err : call_put(c, &config_net_put, "Network config error: ");
}

static void patch_limits(struct call *c, unsigned net, bool rx)
{
	const struct api_vmm *v = &c->api->conf.vmm;
	struct config_net *n = &c->api->config.net[net];
	struct config_change by;

	config_change(c->got[rx ? CONFIG_PATCH_RX : CONFIG_PATCH_TX], &by);
	if (by.bytes || by.ops)
		v->net_limits(v->ctx, net, rx, by.bytes ? &by.to.bytes : NULL,
			      by.ops ? &by.to.ops : NULL);
	config_apply(rx ? &n->rx : &n->tx, &by);
}

int route_patch_net(struct call *c)
{
	int err = device_request(c, &config_net_patch, true), net;

	if (!err)
		err = call_after_start(c);
	if (err)
		return err;
	net = config_find_net(&c->api->config, c->token[1]);
	if (net < 0)
		return call_fault(
			c, "Network config error: Unable to update the net device: " NOT_FOUND);
	patch_limits(c, (unsigned)net, true);
	patch_limits(c, (unsigned)net, false);
	return 0;
}

/* --- vsock, entropy --- */

int route_put_vsock(struct call *c)
{
	int err = call_fields(c, &config_vsock_put.table);

	if (!err && c->got[CONFIG_VSOCK_ID])
		call_deprecated(c, "PUT /vsock: vsock_id field is deprecated.");
	return err ? err : call_put(c, &config_vsock_put, "Vsock config error: ");
}

int route_put_entropy(struct call *c)
{
	return call_put(c, &config_entropy_put, "Entropy config error: ");
}

/* --- balloon --- */

static const struct json_field amount_field = {"amount_mib", JSON_KIND_U32, JSON_REQUIRED,
					       .words = NULL};
static const struct json_field interval_field = {"stats_polling_interval_s", JSON_KIND_U16,
						 JSON_REQUIRED, .words = NULL};
static const struct json_table amount_table = {
	.name = "BalloonUpdateConfig", .n = 1, .field = &amount_field};
static const struct json_table interval_table = {
	.name = "BalloonUpdateStatsConfig", .n = 1, .field = &interval_field};

static void put_stats(struct call *c)
{
	static const char *const names[BALLOON_S_NR] = {
		"swap_in",          "swap_out",    "major_faults",
		"minor_faults",     "free_memory", "total_memory",
		"available_memory", "disk_caches", "hugetlb_allocations",
		"hugetlb_failures", "oom_kill",    "alloc_stall",
		"async_scan",       "direct_scan", "async_reclaim",
		"direct_reclaim",
	};
	const struct api_vmm *v = &c->api->conf.vmm;
	struct balloon_stats s = {0};

	v->balloon_stats(v->ctx, &s);
	json_put(&c->out,
		 "{\"target_pages\":%u,\"actual_pages\":%u,\"target_mib\":%u,\"actual_mib\":%u",
		 s.target_pages, s.actual_pages, s.target_pages / 256, s.actual_pages / 256);
	for (unsigned i = 0; i < BALLOON_S_NR; i++)
		if (s.known & BIT(i))
			json_put(&c->out, ",\"%s\":%" PRIu64, names[i], s.value[i]);
	json_put(&c->out, "}");
}

static int get_stats(struct call *c)
{
	const struct config_balloon *b = &c->api->config.balloon;
	int err = call_after_start(c);

	if (err)
		return err;
	if (!b->present)
		return call_fault(c, "Internal VMM error: " NOT_FOUND);
	if (!b->interval_s)
		return call_fault(c, "Internal VMM error: Balloon: Received stats query when stats "
				     "are disabled.");
	put_stats(c);
	return 0;
}

/* Firecracker's sentence for a balloon that was made without hinting, as all of ours are. */
static int no_hinting(struct call *c)
{
	int err = call_after_start(c);

	if (!err && !c->api->config.balloon.present)
		err = call_fault(c, "Balloon update error: " NOT_FOUND);
	else if (!err)
		err = call_fault(c, "Balloon update error: Balloon: Attempting to use hinting when "
				    "not enabled");
	return err;
}

int route_get_balloon(struct call *c)
{
	const char *what = c->token[1];

	if (what && !strcmp(what, "statistics"))
		return get_stats(c);
	if (what && !strcmp(what, "hinting")) {
		if (c->token[2] && !strcmp(c->token[2], "status"))
			return no_hinting(c);
		return call_fault(c, "Unrecognized GET request path `/hinting/%s`.",
				  c->token[2] ? c->token[2] : "");
	}
	if (what)
		return call_fault(c, "Unrecognized GET request path `%s`.", what);
	if (!c->api->config.balloon.present)
		return call_fault(c, c->api->state == MACHINE_NOT_STARTED
					     ? "Balloon config error: No balloon device found."
					     : "Internal VMM error: " NOT_FOUND);
	config_put_balloon(&c->api->config, &c->out);
	return 0;
}

int route_put_balloon(struct call *c)
{
	return call_put(c, &config_balloon_put, "Balloon config error: ");
}

static int patch_interval(struct call *c)
{
	const struct api_vmm *v = &c->api->conf.vmm;
	struct config_balloon *b = &c->api->config.balloon;
	int err = call_fields(c, &interval_table);
	uint16_t seconds = (uint16_t)json_u64(c->got[0], 0);

	if (!err)
		err = call_after_start(c);
	if (!err && !b->present)
		err = call_fault(c, "Balloon update error: " NOT_FOUND);
	if (err || seconds == b->interval_s)
		return err;
	if (!seconds || !b->interval_s)
		return call_fault(c, "Balloon update error: Balloon: Statistics cannot be "
				     "enabled/disabled after activation.");
	v->balloon_interval(v->ctx, seconds);
	b->interval_s = seconds;
	return 0;
}

static int patch_amount(struct call *c)
{
	const struct api_vmm *v = &c->api->conf.vmm;
	struct config_balloon *b = &c->api->config.balloon;
	int err = call_fields(c, &amount_table);
	uint32_t mib = (uint32_t)json_u64(c->got[0], 0);

	if (!err)
		err = call_after_start(c);
	if (!err && !b->present)
		err = call_fault(c, "Balloon update error: " NOT_FOUND);
	if (!err && (mib > c->api->config.vm.mem_mib || mib > UINT32_MAX / 256))
		err = call_fault(c,
				 "Balloon update error: Balloon: Requested memory should be less "
				 "than %uMiB",
				 mib);
	if (err)
		return err;
	v->balloon_target(v->ctx, mib);
	b->amount_mib = mib;
	return 0;
}

int route_patch_balloon(struct call *c)
{
	const char *what = c->token[1], *act = c->token[2] ? c->token[2] : "";
	bool has_body = c->rq->body && c->rq->body_len;

	if (what && !strcmp(what, "hinting")) {
		if (strcmp(act, "start") && strcmp(act, "stop"))
			return call_fault(c, "Unrecognized PATCH request path `/hinting/%s`.", act);
		return no_hinting(c);
	}
	if (!has_body)
		return call_fault(c, "Empty PATCH request.");
	return what && !strcmp(what, "statistics") ? patch_interval(c) : patch_amount(c);
}

/* --- metadata --- */

/* Once the machine runs, only an interface that was named makes the store be there. */
static int mmds_there(struct call *c)
{
	call_any_time(c);
	if (c->api->state == MACHINE_NOT_STARTED || config_has_mmds(&c->api->config))
		return 0;
	return call_fault(c, "MMDS error: The MMDS data store is not initialized.");
}

int route_get_mmds(struct call *c)
{
	const struct api_hooks *h = &c->api->conf.hooks;
	int err = mmds_there(c);

	if (err)
		return err;
	c->out.p = h->mmds_get(h->ctx, &c->out.len);
	return c->out.p ? 0 : call_fault(c, "MMDS error: %s", os_error(ENOMEM));
}

static int mmds_data(struct call *c, int (*set)(void *, json_t *, char *, size_t))
{
	char why[CONFIG_WHY] = "";
	int err = call_body(c, JSON_NAMES_FREE);

	if (!err)
		err = mmds_there(c);
	if (err)
		return err;
	err = set(c->api->conf.hooks.ctx, c->doc.root, why, sizeof(why));
	if (err) {
		call_fault(c, "%s", why);
		c->fault_status = err == -EFBIG ? 413 : 400;
	}
	return err;
}

static int mmds_config(struct call *c)
{
	const struct api_hooks *h = &c->api->conf.hooks;
	int err = call_fields(c, &config_mmds_put.table);

	if (!err && json_choice(c->got[CONFIG_MMDS_VERSION], config_version_words, 0) == 0)
		call_deprecated(c, "PUT /mmds/config: V1 is deprecated. Use V2 instead.");
	if (!err)
		err = call_put(c, &config_mmds_put, "MMMDS config error: "); /* sic */
	if (!err && h->mmds_config)
		h->mmds_config(h->ctx, &c->api->config.mmds);
	return err;
}

int route_put_mmds(struct call *c)
{
	if (!c->token[1])
		return mmds_data(c, c->api->conf.hooks.mmds_put);
	if (!strcmp(c->token[1], "config"))
		return mmds_config(c);
	return call_fault(c, "Unrecognized PUT request path `%s`.", c->token[1]);
}

int route_patch_mmds(struct call *c)
{
	return mmds_data(c, c->api->conf.hooks.mmds_patch);
}

/* --- what there is not --- */

int route_put_pmem(struct call *c)
{
	int err = call_id(c);

	if (!err)
		call_any_time(c);
	return err ? err : not_supported(c, "pmem devices");
}

int route_patch_pmem(struct call *c)
{
	int err = call_id(c);

	if (!err)
		err = call_after_start(c);
	return err ? err : not_supported(c, "pmem devices");
}

int route_delete(struct call *c)
{
	int err = call_id(c);

	if (!err)
		err = call_after_start(c);
	return err ? err : no_hotplug(c);
}

int route_put_hotplug(struct call *c)
{
	int err = call_before_start(c);

	return err ? err : not_supported(c, "hot-plug of memory");
}

int route_get_hotplug(struct call *c)
{
	int err = call_after_start(c);

	return err ? err : not_supported(c, "hot-plug of memory");
}

int route_patch_hotplug(struct call *c)
{
	return route_get_hotplug(c);
}
