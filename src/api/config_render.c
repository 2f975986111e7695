/* config_render.c - the configuration as JSON: keys and their order as Firecracker writes them. */
#include <inttypes.h>

#include "config.h"

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

static void put_bucket(const struct limit_conf *l, struct json_out *o)
{
	if (!l->size) {
		json_put(o, "null");
		return;
	}
	json_put(o, "{\"size\":%" PRIu64 ",\"one_time_burst\":", l->size);
	if (l->burst)
		json_put(o, "%" PRIu64, l->burst);
	else
		json_put(o, "null");
	json_put(o, ",\"refill_time\":%" PRIu64 "}", l->refill_ms);
}

static void put_limits(const struct config_limits *l, struct json_out *o)
{
	if (!l->bytes.size && !l->ops.size) {
		json_put(o, "null");
		return;
	}
	json_put(o, "{\"bandwidth\":");
	put_bucket(&l->bytes, o);
	json_put(o, ",\"ops\":");
	put_bucket(&l->ops, o);
	json_put(o, "}");
}

static void put_text(struct json_out *o, const char *before, const char *s)
{
	json_put(o, "%s", before);
	json_put_string(o, s);
}

static void put_drive(const struct config_drive *d, struct json_out *o)
{
	put_text(o, "{\"drive_id\":", d->id);
	put_text(o, ",\"partuuid\":", d->partuuid);
	json_put(o, ",\"is_root_device\":%s,\"cache_type\":\"%s\",\"is_read_only\":%s",
		 truth(d->root), config_cache_words[d->writeback], truth(d->readonly));
	put_text(o, ",\"path_on_host\":", d->path);
	json_put(o, ",\"rate_limiter\":");
	put_limits(&d->limits, o);
	json_put(o, ",\"io_engine\":\"%s\",\"socket\":null}", config_engine_words[d->async]);
}

static void put_net(const struct config_net *n, struct json_out *o)
{
	put_text(o, "{\"iface_id\":", n->id);
	put_text(o, ",\"host_dev_name\":", n->tap);
	if (n->has_mac)
		json_put(o, ",\"guest_mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\"", n->mac[0],
			 n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
	else
		json_put(o, ",\"guest_mac\":null");
	if (n->mtu)
		json_put(o, ",\"mtu\":%u", n->mtu);
	else
		json_put(o, ",\"mtu\":null");
	json_put(o, ",\"rx_rate_limiter\":");
	put_limits(&n->rx, o);
	json_put(o, ",\"tx_rate_limiter\":");
	put_limits(&n->tx, o);
	json_put(o, "}");
}

static void put_mmds(const struct api_config *c, struct json_out *o)
{
	const char *comma = "";
	uint32_t a = c->mmds.ipv4;

	if (!config_has_mmds(c)) {
		json_put(o, "null");
		return;
	}
	json_put(o, "{\"version\":\"%s\",\"network_interfaces\":[",
		 config_version_words[c->mmds.v2]);
	for (unsigned i = 0; i < c->nets; i++)
		if (c->net[i].mmds) {
			put_text(o, comma, c->net[i].id);
			comma = ",";
		}
	json_put(o, "],\"ipv4_address\":\"%u.%u.%u.%u\",\"imds_compat\":%s}", a >> 24,
		 a >> 16 & 0xff, a >> 8 & 0xff, a & 0xff, truth(c->mmds.imds_compat));
}

void config_put_vm(const struct api_config *c, struct json_out *o)
{
	json_put(o,
		 "{\"vcpu_count\":%u,\"mem_size_mib\":%" PRIu64 ",\"smt\":%s,"
		 "\"track_dirty_pages\":%s,\"huge_pages\":\"%s\"}",
		 c->vm.vcpus, c->vm.mem_mib, truth(c->vm.smt), truth(c->vm.track_dirty_pages),
		 config_page_words[c->vm.pages]);
}

void config_put_balloon(const struct api_config *c, struct json_out *o)
{
	const struct config_balloon *b = &c->balloon;

	json_put(o,
		 "{\"amount_mib\":%u,\"deflate_on_oom\":%s,\"stats_polling_interval_s\":%u,"
		 "\"free_page_hinting\":false,\"free_page_reporting\":%s}",
		 b->amount_mib, truth(b->deflate_on_oom), b->interval_s, truth(b->reporting));
}

static void put_boot(const struct config_boot *b, struct json_out *o)
{
	put_text(o, ",\"boot-source\":{\"kernel_image_path\":", b->kernel ? b->kernel : "");
	put_text(o, ",\"initrd_path\":", b->initrd);
	put_text(o, ",\"boot_args\":", b->args);
	json_put(o, "}");
}

static void put_lists(const struct api_config *c, struct json_out *o)
{
	json_put(o, ",\"mmds-config\":");
	put_mmds(c, o);
	json_put(o, ",\"network-interfaces\":[");
	for (unsigned i = 0; i < c->nets; i++) {
		json_put(o, "%s", i ? "," : "");
		put_net(&c->net[i], o);
	}
	json_put(o, "],\"vsock\":");
	if (c->vsock.path) {
		json_put(o, "{\"guest_cid\":%u", c->vsock.cid);
		put_text(o, ",\"uds_path\":", c->vsock.path);
		json_put(o, "}");
	} else {
		json_put(o, "null");
	}
	json_put(o, ",\"entropy\":%s", c->entropy ? "{\"rate_limiter\":" : "null");
	if (c->entropy) {
		put_limits(&c->entropy_limits, o);
		json_put(o, "}");
	}
}

void config_put_all(const struct api_config *c, struct json_out *o)
{
	json_put(o, "{\"balloon\":");
	if (c->balloon.present)
		config_put_balloon(c, o);
	else
		json_put(o, "null");
	json_put(o, ",\"drives\":[");
	for (unsigned i = 0; i < c->drives; i++) {
		json_put(o, "%s", i ? "," : "");
		put_drive(&c->drive[i], o);
	}
	json_put(o, "]");
	put_boot(&c->boot, o);
	json_put(o, ",\"cpu-config\":null,\"logger\":null,\"machine-config\":");
	config_put_vm(c, o);
	json_put(o, ",\"metrics\":null");
	put_lists(c, o);
	json_put(o, ",\"pmem\":[],\"memory-hotplug\":null}");
}
