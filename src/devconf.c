/* devconf.c - the device options: one table of keys a kind of device. */
#include "devconf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define VSOCK_CID   3u /* the first that is not reserved */
#define MTU_MIN     68u
#define MTU_MAX     65535u
#define RATE_REFILL 1000u /* ms: rates are given a second */

/* One key of an option; a row without a name ends the table. */
struct key {
	const char *name;
	bool value; /* one follows: key=value */
	int (*set)(void *conf, const char *opt, const char *val);
};

/* Digits with an optional K, M or G. */
static int parse_number(const char *opt, const char *key, const char *s, uint64_t min, uint64_t max,
			uint64_t *n)
{
	uint64_t unit = 1;
	char *end;

	errno = 0;
	*n = strtoull(s, &end, 10);
	switch (*end) {
	case 'K': unit = KIB; break;
	case 'M': unit = MIB; break;
	case 'G': unit = GIB; break;
	default: break;
	}
	if (unit > 1)
		end++;
	if (*s < '0' || *s > '9' || *end || errno || *n > max / unit || *n * unit < min)
		return log_fail(EINVAL, "%s: %s=%s: give a number from %llu to %llu", opt, key, s,
				(unsigned long long)min, (unsigned long long)max);
	*n *= unit;
	return 0;
}

static int parse_rate(const char *opt, const char *key, const char *s, struct limit_conf *l)
{
	l->refill_ms = RATE_REFILL;
	return parse_number(opt, key, s, 1, UINT64_MAX / NSEC, &l->size);
}

/* --- disk --- */

static int set_disk_ro(void *conf, const char *opt, const char *val)
{
	((struct blk_conf *)conf)->readonly = true;
	return 0;
}

static int set_disk_cache(void *conf, const char *opt, const char *val)
{
	struct blk_conf *c = conf;

	if (strcmp(val, "writeback") && strcmp(val, "unsafe"))
		return log_fail(EINVAL, "%s: cache=%s: give writeback or unsafe", opt, val);
	c->cache = *val == 'u' ? BLK_CACHE_UNSAFE : BLK_CACHE_WRITEBACK;
	return 0;
}

static int set_disk_queues(void *conf, const char *opt, const char *val)
{
	uint64_t n = 0;
	int err = parse_number(opt, "queues", val, 1, BLK_QUEUES_MAX, &n);

	((struct blk_conf *)conf)->queues = (unsigned)n;
	return err;
}

static int set_disk_id(void *conf, const char *opt, const char *val)
{
	struct blk_conf *c = conf;

	if (strlen(val) > BLK_ID_LEN)
		return log_fail(EINVAL, "%s: id=%s: give at most %u characters", opt, val,
				BLK_ID_LEN);
	snprintf(c->id, sizeof(c->id), "%s", val);
	return 0;
}

static int set_disk_bps(void *conf, const char *opt, const char *val)
{
	return parse_rate(opt, "bps", val, &((struct blk_conf *)conf)->bytes);
}

static int set_disk_iops(void *conf, const char *opt, const char *val)
{
	return parse_rate(opt, "iops", val, &((struct blk_conf *)conf)->ops);
}

// clang-format off
static const struct key disk_keys[] = {
	{"ro",     false, set_disk_ro},
	{"cache",  true,  set_disk_cache},
	{"queues", true,  set_disk_queues},
	{"id",     true,  set_disk_id},
	{"bps",    true,  set_disk_bps},
	{"iops",   true,  set_disk_iops},
	{0},
};
// clang-format on

/* --- net --- */

/* aa:bb:cc:dd:ee:ff, of one interface: the lowest bit of the first byte would be a group's. */
static bool parse_mac(const char *s, uint8_t mac[6])
{
	for (unsigned i = 0; i < 6; i++, s += 2) {
		char digits[3] = {s[0], s[0] ? s[1] : '\0', '\0'}, *end;

		mac[i] = (uint8_t)strtoul(digits, &end, 16);
		if (!isxdigit((unsigned char)digits[0]) || end != digits + 2)
			return false;
		if (s[2] != (i < 5 ? ':' : '\0'))
			return false;
		s += i < 5;
	}
	return !(mac[0] & 1) && memcmp(mac, "\0\0\0\0\0", 6);
}

static int set_net_mac(void *conf, const char *opt, const char *val)
{
	struct net_conf *c = conf;

	if (!parse_mac(val, c->mac))
		return log_fail(EINVAL,
				"%s: mac=%s: give a unicast address such as 02:00:00:00:00:01", opt,
				val);
	c->has_mac = true;
	return 0;
}

static int set_net_mtu(void *conf, const char *opt, const char *val)
{
	uint64_t n = 0;
	int err = parse_number(opt, "mtu", val, MTU_MIN, MTU_MAX, &n);

	((struct net_conf *)conf)->mtu = (uint16_t)n;
	return err;
}

static int set_net_queues(void *conf, const char *opt, const char *val)
{
	uint64_t n = 0;
	int err = parse_number(opt, "queues", val, 1, NET_PAIRS_MAX, &n);

	((struct net_conf *)conf)->pairs = (unsigned)n;
	return err;
}

static int set_net_offload(void *conf, const char *opt, const char *val)
{
	if (strcmp(val, "on") && strcmp(val, "off"))
		return log_fail(EINVAL, "%s: offload=%s: give on or off", opt, val);
	((struct net_conf *)conf)->offload = !strcmp(val, "on");
	return 0;
}

static int set_net_vhost(void *conf, const char *opt, const char *val)
{
	((struct net_conf *)conf)->vhost = true;
	return 0;
}

static int set_net_rx_bps(void *conf, const char *opt, const char *val)
{
	return parse_rate(opt, "rx-bps", val, &((struct net_conf *)conf)->rx_bytes);
}

static int set_net_tx_bps(void *conf, const char *opt, const char *val)
{
	return parse_rate(opt, "tx-bps", val, &((struct net_conf *)conf)->tx_bytes);
}

// clang-format off
static const struct key net_keys[] = {
	{"mac",     true,  set_net_mac},
	{"mtu",     true,  set_net_mtu},
	{"queues",  true,  set_net_queues},
	{"offload", true,  set_net_offload},
	{"vhost",   false, set_net_vhost},
	{"rx-bps",  true,  set_net_rx_bps},
	{"tx-bps",  true,  set_net_tx_bps},
	{0},
};
// clang-format on

/* --- vsock, balloon --- */

static int set_vsock_cid(void *conf, const char *opt, const char *val)
{
	uint64_t n = 0;
	int err = parse_number(opt, "cid", val, VSOCK_CID, UINT32_MAX - 1, &n);

	((struct vsock_conf *)conf)->cid = (uint32_t)n;
	return err;
}

// clang-format off
static const struct key vsock_keys[] = {
	{"cid", true,  set_vsock_cid},
	{0},
};
// clang-format on

static int set_balloon_oom(void *conf, const char *opt, const char *val)
{
	((struct balloon_conf *)conf)->deflate_on_oom = true;
	return 0;
}

static int set_balloon_reporting(void *conf, const char *opt, const char *val)
{
	((struct balloon_conf *)conf)->reporting = true;
	return 0;
}

static int set_balloon_stats(void *conf, const char *opt, const char *val)
{
	uint64_t n = 0;
	int err = parse_number(opt, "stats", val, 1, UINT16_MAX, &n);

	((struct balloon_conf *)conf)->stats_interval_s = (uint32_t)n;
	return err;
}

// clang-format off
static const struct key balloon_keys[] = {
	{"deflate-on-oom", false, set_balloon_oom},
	{"reporting",      false, set_balloon_reporting},
	{"stats",          true,  set_balloon_stats},
	{0},
};
// clang-format on

/* --- the words --- */

/* The keys of an option, joined for a message. */
static const char *key_list(const struct key *keys)
{
	static char list[128];
	size_t len = 0;

	for (const struct key *k = keys; k->name && len < sizeof(list); k++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s%s",
					k == keys ? "" : ", ", k->name, k->value ? "=" : "");
	return list;
}

static int set_key(void *conf, const char *opt, const struct key *keys, char *word)
{
	char *eq = strchr(word, '=');

	if (eq)
		*eq++ = '\0';
	for (const struct key *k = keys; k->name; k++)
		if (!strcmp(k->name, word)) {
			if (!eq == k->value)
				return log_fail(EINVAL, "%s: %s takes %s value", opt, word,
						k->value ? "a" : "no");
			return k->set(conf, opt, eq);
		}
	return log_fail(EINVAL, "%s: unknown key %s; there are: %s", opt, word, key_list(keys));
}

/* Cuts `val` at its commas: the first word stays in it, the others are keys. */
static int parse_keys(void *conf, const char *opt, const struct key *keys, char *val)
{
	char *word = strchr(val, ',');
	int err = 0;

	while (word && !err) {
		*word++ = '\0';
		char *next = strchr(word, ',');

		if (next)
			*next = '\0';
		err = set_key(conf, opt, keys, word);
		word = next;
	}
	if (!err && !*val)
		return log_fail(EINVAL, "%s: the name is empty", opt);
	return err;
}

int devconf_disk(struct devices_conf *c, char *val)
{
	struct blk_conf *d = &c->disk[c->disks];

	if (c->disks == DISKS_MAX)
		return log_fail(EINVAL, "--disk: at most %u disks", DISKS_MAX);
	*d = (struct blk_conf){.path = val};
	c->disks++;
	return parse_keys(d, "--disk", disk_keys, val);
}

int devconf_net(struct devices_conf *c, char *val)
{
	struct net_conf *n = &c->net[c->nets];
	unsigned long fd;
	char *end;
	int err;

	if (c->nets == NETS_MAX)
		return log_fail(EINVAL, "--net: at most %u networks", NETS_MAX);
	*n = (struct net_conf){.tap = val, .fd = -1, .pairs = 1, .offload = true};
	c->nets++;
	err = parse_keys(n, "--net", net_keys, val);
	if (err || strncmp(val, "fd=", 3))
		return err;
	fd = strtoul(val + 3, &end, 10);
	if (val[3] < '0' || val[3] > '9' || *end || fd > INT32_MAX)
		return log_fail(EINVAL, "--net %s: give the number of an open descriptor", val);
	n->tap = NULL;
	n->fd = (int)fd;
	return 0;
}

int devconf_vsock(struct devices_conf *c, char *val)
{
	c->vsock = true;
	c->vsock_conf = (struct vsock_conf){.path = val, .cid = VSOCK_CID};
	return parse_keys(&c->vsock_conf, "--vsock", vsock_keys, val);
}

int devconf_balloon(struct devices_conf *c, char *val)
{
	uint64_t mib = 0;
	int err;

	c->balloon = true;
	c->balloon_conf = (struct balloon_conf){.target_mib = 0};
	err = parse_keys(&c->balloon_conf, "--balloon", balloon_keys, val);
	if (!err)
		err = parse_number("--balloon", "size in MiB", val, 0, UINT32_MAX / 256, &mib);
	c->balloon_conf.target_mib = (uint32_t)mib;
	return err;
}

/* As Linux reads it, where double quotes hold blanks [kernel/params.c, parse_args]. */
size_t devconf_kernel_words(const char *cmdline)
{
	bool quoted = false;
	size_t i = 0;

	for (; cmdline[i]; i++) {
		bool word = i == 0 || cmdline[i - 1] == ' ';

		if (!quoted && word && !strncmp(cmdline + i, "--", 2) &&
		    (cmdline[i + 2] == ' ' || !cmdline[i + 2]))
			return i ? i - 1 : 0;
		quoted ^= cmdline[i] == '"';
	}
	return i;
}

unsigned devconf_count(const struct devices_conf *c)
{
	return c->disks + c->nets + c->vsock + c->rng + c->balloon;
}

int devconf_check(struct devices_conf *c, unsigned cpus)
{
	for (unsigned i = 0; i < c->disks; i++)
		if (!c->disk[i].queues)
			c->disk[i].queues = MIN(cpus, BLK_QUEUES_MAX);
	for (unsigned i = 0; i < c->nets; i++)
		if (c->net[i].vhost && (c->net[i].rx_bytes.size || c->net[i].tx_bytes.size))
			return log_fail(EINVAL, "--net: vhost moves packets past any limit; give "
						"vhost or rx-bps and tx-bps");
	for (unsigned i = 0; i < c->nets; i++)
		for (unsigned j = 0; j < i; j++)
			if (c->net[i].tap && c->net[j].tap && !strcmp(c->net[i].tap, c->net[j].tap))
				return log_fail(EINVAL, "--net: %s is given twice", c->net[i].tap);
	return 0;
}
