/* config_drive.c - drives as clients describe them: at most one is the root drive, and the first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../log.h"
#include "config.h"
#include "os_error.h"

const char *const config_cache_words[] = {"Unsafe", "Writeback", NULL};
const char *const config_engine_words[] = {"Sync", "Async", NULL};

enum { ID, PARTUUID, ROOT, CACHE, READONLY, PATH, LIMITER, ENGINE, SOCKET };

// clang-format off
static const struct json_field drive_fields[] = {
	[ID]       = {"drive_id",       JSON_KIND_STRING, JSON_REQUIRED, .words = NULL},
	[PARTUUID] = {"partuuid",       JSON_KIND_STRING, JSON_OPTIONAL, .words = NULL},
	[ROOT]     = {"is_root_device", JSON_KIND_BOOL,   JSON_REQUIRED, .words = NULL},
	[CACHE]    = {"cache_type",     JSON_KIND_CHOICE, JSON_DEFAULT,  .words = config_cache_words},
	[READONLY] = {"is_read_only",   JSON_KIND_BOOL,   JSON_OPTIONAL, .words = NULL},
	[PATH]     = {"path_on_host",   JSON_KIND_STRING, JSON_OPTIONAL, .words = NULL},
	[LIMITER]  = {"rate_limiter",   JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &config_limiter_table},
	[ENGINE]   = {"io_engine",      JSON_KIND_CHOICE, JSON_OPTIONAL, .words = config_engine_words},
	[SOCKET]   = {"socket",         JSON_KIND_STRING, JSON_OPTIONAL, .words = NULL},
};
static const struct json_field patch_fields[] = {
	[CONFIG_PATCH_ID]     = {"drive_id",     JSON_KIND_STRING, JSON_REQUIRED, .words = NULL},
	[CONFIG_PATCH_PATH]   = {"path_on_host", JSON_KIND_STRING, JSON_OPTIONAL, .words = NULL},
	[CONFIG_PATCH_LIMITS] = {"rate_limiter", JSON_KIND_OBJECT, JSON_OPTIONAL,
				 .sub = &config_limiter_table},
};
// clang-format on

const struct json_table config_drive_patch = {
	.name = "BlockDeviceUpdateConfig", .n = ARRAY_SIZE(patch_fields), .field = patch_fields};

int config_find_drive(const struct api_config *c, const char *id)
{
	for (unsigned i = 0; i < c->drives; i++)
		if (!strcmp(c->drive[i].id, id))
			return (int)i;
	return -1;
}

static void drive_drop(struct api_config *c, struct config_drive *d)
{
	if (d->fd > 0)
		c->files->close(c->files->ctx, d->fd);
	free(d->id);
	free(d->path);
	free(d->partuuid);
	*d = (struct config_drive){0};
}

void config_drop_drives(struct api_config *c)
{
	while (c->drives)
		drive_drop(c, &c->drive[--c->drives]);
}

static void insert_first(struct api_config *c, const struct config_drive *d)
{
	memmove(&c->drive[1], &c->drive[0], c->drives * sizeof(*d));
	c->drive[0] = *d;
	c->drives++;
}

/* A drive takes the place of the one of its id; a root drive comes first. */
static void drive_insert(struct api_config *c, int pos, const struct config_drive *d)
{
	struct config_drive first = c->drive[0];

	if (pos < 0 && d->root) {
		insert_first(c, d);
	} else if (pos < 0) {
		c->drive[c->drives++] = *d;
	} else {
		drive_drop(c, &c->drive[pos]);
		c->drive[pos] = *d;
		if (pos && d->root) {
			c->drive[pos] = first;
			c->drive[0] = *d;
		}
	}
}

static int drive_open(struct api_config *c, struct config_drive *d, char *why)
{
	d->fd = c->files->disk(c->files->ctx, d->path, d->readonly);
	if (d->fd >= 0)
		return 0;
	if (d->fd == -EINVAL) /* of the wrong kind: only the log has the sentence */
		return config_refuse(why,
				     "Unable to create the virtio block device: Virtio backend "
				     "error: Error manipulating the backing file: %s",
				     log_last());
	return config_refuse(why,
			     "Unable to create the virtio block device: Virtio backend error: "
			     "Error manipulating the backing file: %s %s",
			     os_error(d->fd), d->path);
}

static int drive_check(const struct api_config *c, int pos, const json_t *const *got, char *why)
{
	bool root = json_bool(got[ROOT], false);

	if (!config_is_id(json_string_value(got[ID])))
		return config_refuse(why, CONFIG_BAD_ID);
	if (root && c->drives && c->drive[0].root && pos != 0)
		return config_refuse(why, "A root block device already exists!");
	if (got[SOCKET] && !got[PATH])
		return config_refuse(why, "minnow has no vhost-user-blk devices: give path_on_host "
					  "in place of socket");
	if (!got[PATH] || got[SOCKET])
		return config_refuse(why, "Unable to create the virtio block device: Invalid block "
					  "config.");
	if (pos < 0 && c->drives == DISKS_MAX)
		return config_refuse(why, "minnow's machines have at most %u drives", DISKS_MAX);
	return 0;
}

static int drive_set(struct api_config *c, const json_t *const *got, char *why)
{
	int pos = config_find_drive(c, json_string_value(got[ID]));
	struct config_drive d = {
		.root = json_bool(got[ROOT], false),
		.readonly = json_bool(got[READONLY], false),
		.writeback = json_choice(got[CACHE], config_cache_words, 0) == 1,
		.async = json_choice(got[ENGINE], config_engine_words, 0) == 1,
	};
	struct config_change limits;
	int err = drive_check(c, pos, got, why);

	if (err)
		return err;
	config_change(got[LIMITER], &limits);
	d.limits = limits.to;
	if (!config_keep(&d.id, got[ID]) || !config_keep(&d.path, got[PATH]) ||
	    !config_keep(&d.partuuid, got[PARTUUID]))
		err = config_refuse(why, "%s", os_error(ENOMEM));
	if (!err)
		err = drive_open(c, &d, why);
	if (err)
		drive_drop(c, &d);
	else
		drive_insert(c, pos, &d);
	return err;
}

void config_set_path(struct api_config *c, unsigned drive, const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		return;
	free(c->drive[drive].path);
	c->drive[drive].path = copy;
}

const struct config_resource config_drive_put = {
	.table = {.name = "BlockDeviceConfig",
		  .n = ARRAY_SIZE(drive_fields),
		  .field = drive_fields},
	.set = drive_set,
};
