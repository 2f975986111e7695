/*
 * config_file.c - the configuration from a file: the bodies of requests under their kebab-case
 * names, taken in Firecracker's order, whatever theirs is.
 */
#include "config_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../log.h"
#include "os_error.h"

#define FAILED "Configuration for VMM from one single json failed: "

/* In the order in which they are taken, but for the metadata between balloon and mmds-config. */
enum {
	LOGGER,
	METRICS,
	MACHINE,
	CPU,
	BOOT,
	DRIVES,
	NETS,
	VSOCK,
	BALLOON,
	MMDS,
	ENTROPY,
	PMEM,
	HOTPLUG,
	KEYS
};

/* What is done with a value, and what Firecracker says before the mistake in it. */
struct key {
	const struct config_resource *resource;
	int (*set)(struct api *a, const json_t *const *got, char *why);
	const char *prefix;
};

static const struct key keys[KEYS] = {
	[LOGGER] = {NULL,                api_set_logger,  "Logger error: "        },
	[METRICS] = {NULL,                api_set_metrics, "Metrics error: "       },
	[MACHINE] = {&config_machine_put, NULL,            "VM config error: "     },
	[BOOT] = {&config_boot_source, NULL,            "Boot source error: "   },
	[DRIVES] = {&config_drive_put,   NULL,            "Block device error: "  },
	[NETS] = {&config_net_put,     NULL,            "Network device error: "},
	[VSOCK] = {&config_vsock_put,   NULL,            "Vsock device error: "  },
	[BALLOON] = {&config_balloon_put, NULL,            "Balloon device error: "},
	[MMDS] = {&config_mmds_put,    NULL,            "MMDS config error: "   },
	[ENTROPY] = {&config_entropy_put, NULL,            "Entropy device error: "},
};

#define SUB(r) .sub = (&(r).table)

// clang-format off
static const struct json_field file_fields[KEYS] = {
	[LOGGER]  = {"logger",             JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &api_logger_table},
	[METRICS] = {"metrics",            JSON_KIND_OBJECT, JSON_OPTIONAL, .sub = &api_metrics_table},
	[MACHINE] = {"machine-config",     JSON_KIND_OBJECT, JSON_OPTIONAL, SUB(config_machine_put)},
	[CPU]     = {"cpu-config",         JSON_KIND_ANY,    JSON_OPTIONAL, .sub = NULL},
	[BOOT]    = {"boot-source",        JSON_KIND_OBJECT, JSON_REQUIRED, SUB(config_boot_source)},
	[DRIVES]  = {"drives",             JSON_KIND_LIST,   JSON_REQUIRED, SUB(config_drive_put)},
	[NETS]    = {"network-interfaces", JSON_KIND_LIST,   JSON_DEFAULT,  SUB(config_net_put)},
	[VSOCK]   = {"vsock",              JSON_KIND_OBJECT, JSON_OPTIONAL, SUB(config_vsock_put)},
	[BALLOON] = {"balloon",            JSON_KIND_OBJECT, JSON_OPTIONAL, SUB(config_balloon_put)},
	[MMDS]    = {"mmds-config",        JSON_KIND_OBJECT, JSON_OPTIONAL, SUB(config_mmds_put)},
	[ENTROPY] = {"entropy",            JSON_KIND_OBJECT, JSON_OPTIONAL, SUB(config_entropy_put)},
	[PMEM]    = {"pmem",               JSON_KIND_ANY,    JSON_DEFAULT,  .sub = NULL},
	[HOTPLUG] = {"memory-hotplug",     JSON_KIND_ANY,    JSON_OPTIONAL, .sub = NULL},
};
static const struct json_table file_table = {
	.name = "VmmConfig", .open = true, .n = KEYS, .field = file_fields};
// clang-format on

/* `prefix` comes before what `why` says already. */
static int prefixed(char *why, const char *prefix)
{
	char text[CONFIG_WHY];

	memcpy(text, why, sizeof(text));
	return config_refuse(why, "%s%s", prefix, text);
}

/* What a file is called, and is told to be when it is no JSON. */
struct kind {
	const char *name, *bad;
	enum json_names names;
};

static const struct kind configuration = {"configuration", "Invalid JSON: ", JSON_NAMES_ONCE};
static const struct kind cpu_template = {"CPU template", "Invalid JSON: ", JSON_NAMES_ONCE};
static const struct kind mmds_content = {
	"mmds content", "MMDS error: metadata provided not valid json: ", JSON_NAMES_FREE};

static int read_json(struct api *a, const struct kind *k, const char *path, struct json_doc *d,
		     char **text, char *why)
{
	const struct config_files *f = a->config.files;
	size_t len = 0;

	*d = (struct json_doc){.root = NULL};
	*text = f->read(f->ctx, path, CONFIG_FILE_MAX, &len);
	if (!*text)
		return config_refuse(why, "Unable to open or read from the %s file %s: %s", k->name,
				     path, os_error(errno));
	if (json_parse(d, *text, len, k->names))
		return config_refuse(why, "%s%s", k->bad, d->why);
	return 0;
}

static int set_one(struct api *a, struct json_doc *d, const struct json_field *f,
		   const struct key *k, const json_t *v, char *why)
{
	const json_t *got[CONFIG_FIELDS];
	int err = json_fields(d, v, f->sub, got);

	if (err)
		return config_refuse(why, "Invalid JSON: %s", d->why);
	err = k->resource ? k->resource->set(&a->config, got, why) : k->set(a, got, why);
	return err ? prefixed(why, k->prefix) : 0;
}

/* A template, or the path of a file with one. */
static int set_cpu(struct api *a, const json_t *v, char *why)
{
	struct json_doc d = {.root = NULL};
	char *text = NULL;
	int err = 0;

	if (json_is_string(v))
		err = read_json(a, &cpu_template, json_string_value(v), &d, &text, why);
	if (!err && api_set_cpu(a, d.root ? d.root : v, why))
		err = prefixed(why, "Invalid JSON: ");
	json_free(&d);
	free(text);
	return err;
}

static int set_key(struct api *a, struct json_doc *d, unsigned i, const json_t *v, char *why)
{
	int err = 0;

	if (i == CPU)
		return set_cpu(a, v, why);
	if (i == PMEM)
		return json_array_size(v)
			       ? config_refuse(why, "Pmem device error: minnow has no pmem devices")
			       : 0;
	if (i == HOTPLUG)
		return config_refuse(why, "Memory hotplug config error: minnow has no hot-plug of "
					  "memory");
	if (file_fields[i].kind == JSON_KIND_OBJECT)
		return set_one(a, d, &file_fields[i], &keys[i], v, why);
	for (size_t n = 0; n < json_array_size(v) && !err; n++)
		err = set_one(a, d, &file_fields[i], &keys[i], json_array_get(v, n), why);
	return err;
}

static int add_metadata(struct api *a, const char *path, const char *prefix, char *why)
{
	const struct api_hooks *h = &a->conf.hooks;
	struct json_doc d;
	char *text;
	int err = read_json(a, &mmds_content, path, &d, &text, why);

	if (!err) {
		err = h->mmds_put(h->ctx, d.root, why, CONFIG_WHY);
		if (err == -EFBIG)
			config_refuse(why, "%sThe MMDS patch request doesn't fit.", prefix);
		else if (err)
			prefixed(why, prefix);
	}
	if (!err)
		log_info("Successfully added metadata to mmds from file");
	json_free(&d);
	free(text);
	return err;
}

int config_file_metadata(struct api *a, const char *path, char *why)
{
	return add_metadata(a, path, "Populating MMDS from file failed: ", why);
}

static int configure(struct api *a, struct json_doc *d, const char *metadata, char *why)
{
	const json_t *got[KEYS];
	int err = json_fields(d, d->root, &file_table, got);

	if (err)
		return config_refuse(why, "Invalid JSON: %s", d->why);
	for (unsigned i = 0; i < KEYS && !err; i++) {
		if (i == MMDS && metadata)
			err = add_metadata(a, metadata, "MMDS error: ", why);
		if (!err && got[i])
			err = set_key(a, d, i, got[i], why);
	}
	if (!err && got[MMDS] && a->conf.hooks.mmds_config)
		a->conf.hooks.mmds_config(a->conf.hooks.ctx, &a->config.mmds);
	return err;
}

int config_file_start(struct api *a, const char *path, const char *metadata, char *why)
{
	struct json_doc d;
	char *text;
	int err = read_json(a, &configuration, path, &d, &text, why);

	if (!err)
		err = configure(a, &d, metadata, why);
	json_free(&d);
	free(text);
	if (err)
		return prefixed(why, FAILED);
	if (api_start(a, why))
		return prefixed(why, "Could not Start MicroVM from one single json: ");
	log_info("Successfully started microvm that was configured from one single json");
	return 0;
}
