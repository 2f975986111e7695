/* config_net.c - network interfaces as clients describe them. */
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "os_error.h"

#define MTU_MIN 68u
#define NO_TAP  "Could not create the network device: Open tap device failed: "

enum { ID, TAP, MAC, MTU, RX, TX };

static bool parse_mac(const char *s, uint8_t mac[6])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 6; i++, s += 3) {
		const char *high = *s ? strchr(digits, tolower((unsigned char)s[0])) : NULL;
		const char *low =
			high && s[1] ? strchr(digits, tolower((unsigned char)s[1])) : NULL;

		if (!low || s[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return true;
}

static const char *check_mac(const char *s)
{
	uint8_t mac[6];

	return parse_mac(s, mac) ? NULL : "The provided MAC address is invalid.";
}

// clang-format off
static const struct json_field net_fields[] = {
	[ID]  = {"iface_id",        JSON_KIND_STRING, JSON_REQUIRED, .words = NULL},
	[TAP] = {"host_dev_name",   JSON_KIND_STRING, JSON_REQUIRED, .words = NULL},
	[MAC] = {"guest_mac",       JSON_KIND_STRING, JSON_OPTIONAL, .check = check_mac},
	[MTU] = {"mtu",             JSON_KIND_U16,    JSON_OPTIONAL, .words = NULL},
	[RX]  = {"rx_rate_limiter", JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &config_limiter_table},
	[TX]  = {"tx_rate_limiter", JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &config_limiter_table},
};
static const struct json_field patch_fields[] = {
	[CONFIG_PATCH_ID] = {"iface_id",        JSON_KIND_STRING, JSON_REQUIRED, .words = NULL},
	[CONFIG_PATCH_RX] = {"rx_rate_limiter", JSON_KIND_OBJECT, JSON_OPTIONAL,
			     .sub = &config_limiter_table},
	[CONFIG_PATCH_TX] = {"tx_rate_limiter", JSON_KIND_OBJECT, JSON_OPTIONAL,
			     .sub = &config_limiter_table},
};
// clang-format on

const struct json_table config_net_patch = {.name = "NetworkInterfaceUpdateConfig",
					    .n = ARRAY_SIZE(patch_fields),
					    .field = patch_fields};

int config_find_net(const struct api_config *c, const char *id)
{
	for (unsigned i = 0; i < c->nets; i++)
		if (!strcmp(c->net[i].id, id))
			return (int)i;
	return -1;
}

static void net_drop(struct api_config *c, struct config_net *n)
{
	if (n->fd > 0)
		c->files->close(c->files->ctx, n->fd);
	free(n->id);
	free(n->tap);
	*n = (struct config_net){0};
}

void config_drop_nets(struct api_config *c)
{
	while (c->nets)
		net_drop(c, &c->net[--c->nets]);
}

/* A tap can be open once: under the same id its descriptor is passed on. */
static int net_open(struct api_config *c, int pos, struct config_net *n, char *why)
{
	if (pos >= 0 && !strcmp(c->net[pos].tap, n->tap)) {
		n->fd = c->net[pos].fd;
		return 0;
	}
	if (strlen(n->tap) >= IFNAMSIZ)
		return config_refuse(why, NO_TAP "Invalid interface name");
	n->fd = c->files->tap(c->files->ctx, n->tap);
	if (n->fd >= 0)
		return 0;
	return config_refuse(
		why,
		NO_TAP "Error while creating ifreq structure: %s. Invalid TUN/TAP Backend provided "
		       "by %s. Check our documentation on setting up the network devices.",
		os_error(n->fd), n->tap);
}

static int net_check(const struct api_config *c, int pos, const struct config_net *n,
		     const json_t *mtu, char *why)
{
	for (unsigned i = 0; i < c->nets; i++)
		if ((int)i != pos && n->has_mac && c->net[i].has_mac &&
		    !memcmp(n->mac, c->net[i].mac, sizeof(n->mac)))
			return config_refuse(why,
					     "The MAC address is already in use: "
					     "%02x:%02x:%02x:%02x:%02x:%02x",
					     n->mac[0], n->mac[1], n->mac[2], n->mac[3], n->mac[4],
					     n->mac[5]);
	if (mtu && n->mtu < MTU_MIN)
		return config_refuse(why,
				     "Could not create the network device: MTU %u is out of range "
				     "[68, 65535]",
				     n->mtu);
	if (pos < 0 && c->nets == NETS_MAX)
		return config_refuse(why, "minnow's machines have at most %u network interfaces",
				     NETS_MAX);
	return 0;
}

/* One that is given again moves to the end and the last takes its place, as in Firecracker. */
static void net_insert(struct api_config *c, int pos, const struct config_net *n)
{
	if (pos >= 0) {
		if (c->net[pos].fd == n->fd)
			c->net[pos].fd = 0;
		net_drop(c, &c->net[pos]);
		c->net[pos] = c->net[--c->nets];
	}
	c->net[c->nets++] = *n;
}

static int net_set(struct api_config *c, const json_t *const *got, char *why)
{
	int pos = config_find_net(c, json_string_value(got[ID])), err;
	struct config_net n = {.mtu = (uint16_t)json_u64(got[MTU], 0)};
	struct config_change rx, tx;

	if (!config_is_id(json_string_value(got[ID])))
		return config_refuse(why, CONFIG_BAD_ID);
	n.has_mac = got[MAC] && parse_mac(json_string_value(got[MAC]), n.mac);
	config_change(got[RX], &rx);
	config_change(got[TX], &tx);
	n.rx = rx.to;
	n.tx = tx.to;
	err = net_check(c, pos, &n, got[MTU], why);
	if (err)
		return err;
	if (!config_keep(&n.id, got[ID]) || !config_keep(&n.tap, got[TAP]))
		err = config_refuse(why, "%s", os_error(ENOMEM));
	if (!err)
		err = net_open(c, pos, &n, why);
	if (err)
		net_drop(c, &n);
	else
		net_insert(c, pos, &n);
	return err;
}

const struct config_resource config_net_put = {
	.table = {.name = "NetworkInterfaceConfig",
		  .n = ARRAY_SIZE(net_fields),
		  .field = net_fields},
	.set = net_set,
};
