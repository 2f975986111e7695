/* api_tell.c - log, metrics and CPU template, as clients describe them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "template_json.h"

static const char *check_level(const char *s)
{
	enum log_level level;

	return logger_level(s, &level) ? NULL : "Invalid LevelFilter";
}

// clang-format off
static const struct json_field logger_fields[] = {
	{"log_path",        JSON_KIND_PATH,   JSON_OPTIONAL, .words = NULL},
	{"level",           JSON_KIND_STRING, JSON_OPTIONAL, .check = check_level},
	{"show_level",      JSON_KIND_BOOL,   JSON_OPTIONAL, .words = NULL},
	{"show_log_origin", JSON_KIND_BOOL,   JSON_OPTIONAL, .words = NULL},
	{"module",          JSON_KIND_STRING, JSON_OPTIONAL, .words = NULL},
};
static const struct json_field metrics_fields[] = {
	{"metrics_path", JSON_KIND_PATH, JSON_REQUIRED, .words = NULL},
	{"emit_id",      JSON_KIND_BOOL, JSON_DEFAULT,  .words = NULL},
	{"properties",   JSON_KIND_MAP,  JSON_OPTIONAL, .words = NULL},
};
const struct json_table api_logger_table = {
	.name = "LoggerConfig", .n = ARRAY_SIZE(logger_fields), .field = logger_fields};
const struct json_table api_metrics_table = {
	.name = "MetricsConfig", .open = true, .n = ARRAY_SIZE(metrics_fields),
	.field = metrics_fields};
// clang-format on

int api_set_logger(struct api *a, const json_t *const *got, char *why)
{
	const struct api_hooks *h = &a->conf.hooks;
	struct logger_conf l = {
		.path = json_string_value(got[0]),
		.level = LEVEL_INFO,
		.show_level = got[2] ? json_is_true(got[2]) : -1,
		.show_origin = got[3] ? json_is_true(got[3]) : -1,
		.module = json_string_value(got[4]),
	};

	if (got[1])
		logger_level(json_string_value(got[1]), &l.level);
	return h->logger ? h->logger(h->ctx, &l, why, CONFIG_WHY) : 0;
}

/* Names in the order of their bytes, as Rust's BTreeMap has them. */
int api_set_metrics(struct api *a, const json_t *const *got, char *why)
{
	const struct api_hooks *h = &a->conf.hooks;
	char *properties = got[2] ? json_dumps(got[2], JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	struct api_metrics m = {.path = json_string_value(got[0]),
				.emit_id = json_bool(got[1], false),
				.properties = properties};
	int err = h->metrics ? h->metrics(h->ctx, &m, why, CONFIG_WHY) : 0;

	if (err) {
		free(properties);
		return err;
	}
	free(a->properties);
	a->properties = properties;
	return 0;
}

/* The last template makes way for it. */
int api_set_cpu(struct api *a, const json_t *v, char *why)
{
	struct cpu_template *t;
	int err = cpu_template_parse(v, &t, why, CONFIG_WHY);

	if (err)
		return err;
	if (a->config.cpu)
		cpu_template_free(a->config.cpu);
	a->config.cpu = t;
	return 0;
}
