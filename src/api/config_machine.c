/*
 * config_machine.c - from what clients described to what the monitor starts. The devices' words on
 * the kernel's command line are the monitor's to add; `root=` and `pci=off` come from here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "os_error.h"

#define DEFAULT_ARGS                                                                               \
	"reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd "         \
	"swiotlb=noforce"
#define INIT_SEPARATOR " -- "
#define RAM_STEP       (2 * MIB)

/* A stretch of a text, without the blanks around it. */
struct span {
	const char *s;
	size_t len;
};

static struct span trimmed(const char *s, size_t len)
{
	while (len && (*s == ' ' || (*s >= '\t' && *s <= '\r'))) {
		s++;
		len--;
	}
	while (len && (s[len - 1] == ' ' || (s[len - 1] >= '\t' && s[len - 1] <= '\r')))
		len--;
	return (struct span){s, len};
}

/* Where init's own arguments begin: at the first separator outside quotes; else the end. */
static const char *init_args(const char *args)
{
	const char *at = args;
	unsigned quotes = 0;

	for (; *at; at++) {
		quotes += *at == '"';
		if (quotes % 2 == 0 && !strncmp(at, INIT_SEPARATOR, strlen(INIT_SEPARATOR)))
			break;
	}
	return at;
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

static void append(struct json_out *o, const char *word, const char *value)
{
	json_put(o, "%s%s%s", o->len ? " " : "", word, value);
}

/* Arguments for the kernel, ours, then init's. */
static int make_cmdline(struct api_config *c, char *why)
{
	const char *args = c->boot.args ? c->boot.args : DEFAULT_ARGS, *sep = init_args(args);
	const struct config_drive *root = c->drives && c->drive[0].root ? &c->drive[0] : NULL;
	struct span kernel = trimmed(args, (size_t)(sep - args)), init = {"", 0};
	struct json_out o = {0};
	int err = 0;

	if (*sep)
		init = trimmed(sep + strlen(INIT_SEPARATOR), strlen(sep + strlen(INIT_SEPARATOR)));
	json_put(&o, "%.*s", (int)kernel.len, kernel.s);
	if (!c->pci)
		append(&o, "pci=off", "");
	if (root)
		append(&o, root->partuuid ? "root=PARTUUID=" : "root=/dev/vda",
		       root->partuuid ? root->partuuid : "");
	if (root)
		append(&o, root->readonly ? "ro" : "rw", "");
	if (init.len)
		json_put(&o, INIT_SEPARATOR "%.*s", (int)init.len, init.s);
	if (o.failed)
		err = config_refuse(why, "%s", os_error(ENOMEM));
	else if (root && root->partuuid && !printable(root->partuuid))
		err = config_refuse(why, "Invalid kernel command line: String contains a "
					 "non-printable ASCII character.");
	else if (o.len >= sizeof(c->cmdline))
		err = config_refuse(why, "Invalid kernel command line: Inserting string would make "
					 "command line too long.");
	else
		memcpy(c->cmdline, o.p ? o.p : "", o.len + 1);
	free(o.p);
	return err;
}

static void fill_drives(const struct api_config *c, struct devices_conf *d)
{
	d->disks = c->drives;
	for (unsigned i = 0; i < c->drives; i++) {
		const struct config_drive *from = &c->drive[i];

		d->disk[i] = (struct blk_conf){
			.path = from->path,
			.fd = from->fd,
			.readonly = from->readonly,
			.cache = from->writeback ? BLK_CACHE_WRITEBACK : BLK_CACHE_UNSAFE,
			.queues = MIN(c->vm.vcpus, BLK_QUEUES_MAX),
			.bytes = from->limits.bytes,
			.ops = from->limits.ops,
		};
	}
}

/* Never by vhost-net: PATCH may limit any of them, and metadata passes through us. */
static void fill_nets(const struct api_config *c, struct devices_conf *d)
{
	d->nets = c->nets;
	for (unsigned i = 0; i < c->nets; i++) {
		const struct config_net *from = &c->net[i];

		d->net[i] = (struct net_conf){
			.tap = from->tap,
			.fd = from->fd,
			.has_mac = from->has_mac,
			.mtu = from->mtu,
			.pairs = 1,
			.offload = true,
			.rx_bytes = from->rx.bytes,
			.rx_ops = from->rx.ops,
			.tx_bytes = from->tx.bytes,
			.tx_ops = from->tx.ops,
		};
		memcpy(d->net[i].mac, from->mac, sizeof(from->mac));
	}
}

static void fill_others(const struct api_config *c, struct devices_conf *d)
{
	const struct config_balloon *b = &c->balloon;

	d->vsock = c->vsock.path != NULL;
	d->vsock_conf =
		(struct vsock_conf){.path = c->vsock.path, .cid = c->vsock.cid, .fd = c->vsock.fd};
	d->rng = c->entropy;
	d->rng_conf = (struct rng_conf){c->entropy_limits.bytes, c->entropy_limits.ops};
	d->balloon = b->present;
	d->balloon_conf = (struct balloon_conf){.target_mib = b->amount_mib,
						.deflate_on_oom = b->deflate_on_oom,
						.stats_interval_s = b->interval_s,
						.reporting = b->reporting};
}

int config_machine(struct api_config *c, char *why)
{
	static const enum ram_pages pages[] = {
		[CONFIG_PAGES_NONE] = RAM_PAGES_DEFAULT,
		[CONFIG_PAGES_THP] = RAM_PAGES_THP,
		[CONFIG_PAGES_2M] = RAM_PAGES_2M,
	};
	struct machine_conf *m = &c->machine;
	int err;

	if (!c->boot.kernel)
		return config_refuse(why, "Cannot start microvm without kernel configuration.");
	if (c->vm.mem_mib > RAM_MAX / MIB)
		return config_refuse(why,
				     "Invalid Memory Configuration: Cannot create mmap region: %s: "
				     "a machine has at most %llu MiB",
				     os_error(ENOMEM), RAM_MAX / MIB);
	err = make_cmdline(c, why);
	if (err)
		return err;
	*m = (struct machine_conf){
		.boot = {.kernel = c->boot.kernel,
			 .initrd = c->boot.initrd,
			 .kernel_fd = c->boot.kernel_fd,
			 .initrd_fd = c->boot.initrd_fd,
			 .cmdline = c->cmdline,
			 .cpus = c->vm.vcpus,
			 .entry = BOOT_AUTO,
			 .rng_seed = true},
		.mem = align_up(c->vm.mem_mib * MIB, RAM_STEP),
		.pages = pages[c->vm.pages],
		.cpu_model = c->cpu,
		.devices = {.transport = c->pci ? TRANSPORT_PCI : TRANSPORT_MMIO},
	};
	fill_drives(c, &m->devices);
	fill_nets(c, &m->devices);
	fill_others(c, &m->devices);
	return 0;
}
