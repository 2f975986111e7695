/*
 * api.c - from a request to its handler and back: the table of all that Firecracker answers, the
 * sentences for what it does not, and the counts for its metrics. Handlers are in routes_vm.c and
 * routes_device.c.
 */
#include "api.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../log.h"
#include "os_error.h"
#include "routes.h"
#include "template_json.h"

struct route {
	enum http_method method;
	const char *name;   /* of the resource */
	const char *second; /* what must come after it; NULL: whatever there is */
	route_fn *handle;
	size_t count, fails; /* in struct metrics_api; 0: not counted */
	bool bodiless_too;   /* it takes a request without body as well */
};

#define AT(member)           offsetof(struct metrics_api, member)
// NOLINTBEGIN(bugprone-macro-parentheses): names of members take none
#define COUNT(method, what)  .count = AT(method.what##_count)
#define COUNTS(method, what) COUNT(method, what), .fails = AT(method.what##_fails)
// NOLINTEND(bugprone-macro-parentheses)
#define UNCOUNTED            .count = 0

// clang-format off
static const struct route routes[] = {
	{HTTP_GET,   "",               NULL,     route_get_instance,  COUNT(get, instance_info)},
	{HTTP_GET,   "version",        NULL,     route_get_version,   COUNT(get, vmm_version)},
	{HTTP_GET,   "vm",             "config", route_get_config, UNCOUNTED},
	{HTTP_GET,   "machine-config", NULL,     route_get_machine,   COUNT(get, machine_cfg)},
	{HTTP_GET,   "balloon",        NULL,     route_get_balloon, UNCOUNTED},
	{HTTP_GET,   "mmds",           NULL,     route_get_mmds,      COUNT(get, mmds)},
	{HTTP_GET,   "hotplug",        "memory", route_get_hotplug,   COUNT(get, hotplug_memory)},

	{HTTP_PUT,   "actions",        NULL,     route_put_actions,   COUNTS(put, actions)},
	{HTTP_PUT,   "balloon",        NULL,     route_put_balloon, UNCOUNTED},
	{HTTP_PUT,   "boot-source",    NULL,     route_put_boot,      COUNTS(put, boot_source)},
	{HTTP_PUT,   "cpu-config",     NULL,     route_put_cpu,       COUNTS(put, cpu_cfg)},
	{HTTP_PUT,   "drives",         NULL,     route_put_drive,     COUNTS(put, drive)},
	{HTTP_PUT,   "pmem",           NULL,     route_put_pmem,      COUNTS(put, pmem)},
	{HTTP_PUT,   "logger",         NULL,     route_put_logger,    COUNTS(put, logger)},
	{HTTP_PUT,   "serial",         NULL,     route_put_serial,    COUNTS(put, serial)},
	{HTTP_PUT,   "machine-config", NULL,     route_put_machine,   COUNTS(put, machine_cfg)},
	{HTTP_PUT,   "metrics",        NULL,     route_put_metrics,   COUNTS(put, metrics)},
	{HTTP_PUT,   "mmds",           NULL,     route_put_mmds,      COUNTS(put, mmds)},
	{HTTP_PUT,   "network-interfaces", NULL, route_put_net,       COUNTS(put, network)},
	{HTTP_PUT,   "snapshot",       NULL,     route_put_snapshot, UNCOUNTED},
	{HTTP_PUT,   "vsock",          NULL,     route_put_vsock,     COUNTS(put, vsock)},
	{HTTP_PUT,   "entropy",        NULL,     route_put_entropy, UNCOUNTED},
	{HTTP_PUT,   "hotplug",        "memory", route_put_hotplug,   COUNTS(put, hotplug_memory)},

	{HTTP_PATCH, "balloon",        NULL,     route_patch_balloon, .bodiless_too = true},
	{HTTP_PATCH, "drives",         NULL,     route_patch_drive,   COUNTS(patch, drive)},
	{HTTP_PATCH, "machine-config", NULL,     route_patch_machine, COUNTS(patch, machine_cfg)},
	{HTTP_PATCH, "mmds",           NULL,     route_patch_mmds,    COUNTS(patch, mmds)},
	{HTTP_PATCH, "network-interfaces", NULL, route_patch_net,     COUNTS(patch, network)},
	{HTTP_PATCH, "pmem",           NULL,     route_patch_pmem,    COUNTS(patch, pmem)},
	{HTTP_PATCH, "vm",             NULL,     route_patch_vm, UNCOUNTED},
	{HTTP_PATCH, "hotplug",        "memory", route_patch_hotplug, COUNTS(patch, hotplug_memory)},

	{HTTP_DELETE, "drives",             NULL, route_delete, UNCOUNTED},
	{HTTP_DELETE, "pmem",               NULL, route_delete, UNCOUNTED},
	{HTTP_DELETE, "network-interfaces", NULL, route_delete, UNCOUNTED},
};

static const struct {
	const char *name, *log_name;
	bool body;          /* requests have one */
	const char *sentence; /* for one that is as it must not be */
} methods[] = {
	[HTTP_GET]    = {"GET",    "Get",    false, "GET request cannot have a body."},
	[HTTP_PUT]    = {"PUT",    "Put",    true,  "Empty PUT request."},
	[HTTP_PATCH]  = {"PATCH",  "Patch",  true,  "Empty PATCH request."},
	[HTTP_DELETE] = {"DELETE", "Delete", false, "Empty Delete request."},
};
// clang-format on

static void count(struct api *a, size_t at)
{
	uint64_t *n = (uint64_t *)((char *)a->conf.count + at);

	if (at)
		++*n;
}

/* --- for the handlers --- */

int call_fault(struct call *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->fault, sizeof(c->fault), fmt, ap);
	va_end(ap);
	c->fault_status = 400;
	return -EINVAL;
}

static int body_fault(struct call *c)
{
	return call_fault(c, "An error occurred when deserializing the json body of a request: %s.",
			  c->doc.why);
}

int call_body(struct call *c, enum json_names names)
{
	int err = json_parse(&c->doc, c->rq->body ? c->rq->body : "", c->rq->body_len, names);

	return err ? body_fault(c) : 0;
}

int call_fields(struct call *c, const struct json_table *t)
{
	int err = call_body(c, JSON_NAMES_ONCE);

	if (!err && json_fields(&c->doc, c->doc.root, t, c->got))
		err = body_fault(c);
	return err;
}

int call_before_start(struct call *c)
{
	c->parsed = true;
	if (c->api->state == MACHINE_NOT_STARTED)
		return 0;
	return call_fault(c, "The requested operation is not supported after starting the "
			     "microVM.");
}

int call_after_start(struct call *c)
{
	c->parsed = true;
	if (c->api->state != MACHINE_NOT_STARTED)
		return 0;
	return call_fault(c, "The requested operation is not supported before starting the "
			     "microVM.");
}

void call_any_time(struct call *c)
{
	c->parsed = true;
}

int call_id(struct call *c)
{
	const char *id = c->token[1];

	if (!id || !*id)
		return call_fault(c, "The ID cannot be empty.");
	for (; *id; id++)
		if (*id != '_' && !(*id >= '0' && *id <= '9') && !(*id >= 'a' && *id <= 'z') &&
		    !(*id >= 'A' && *id <= 'Z'))
			return call_fault(c, "API Resource IDs can only contain alphanumeric "
					     "characters and underscores.");
	return 0;
}

void call_deprecated(struct call *c, const char *what)
{
	log_warn("%s", what);
	c->deprecated = true;
	c->api->conf.count->deprecated.deprecated_http_api_calls++;
}

int call_put(struct call *c, const struct config_resource *r, const char *prefix)
{
	char why[CONFIG_WHY] = "";
	int err = c->doc.root ? 0 : call_fields(c, &r->table);

	if (!err)
		err = call_before_start(c);
	if (!err && r->set(&c->api->config, c->got, why))
		err = call_fault(c, "%s%s", prefix, why);
	return err;
}

/* --- requests --- */

/* Cuts the path at its slashes, as Rust's split_terminator(): an empty part is a part. */
static void tokenize(struct call *c, char *path)
{
	unsigned n = 0;

	while (*path == '/')
		path++;
	c->token[0] = "";
	for (; *path && n < ARRAY_SIZE(c->token); n++) {
		char *slash = strchr(path, '/');

		c->token[n] = path;
		if (!slash)
			break;
		*slash = '\0';
		path = slash + 1;
	}
}

static const struct route *find(const struct call *c)
{
	for (unsigned i = 0; i < ARRAY_SIZE(routes); i++) {
		const struct route *r = &routes[i];

		if (r->method == c->rq->method && !strcmp(r->name, c->token[0]) &&
		    (!r->second || (c->token[1] && !strcmp(r->second, c->token[1]))))
			return r;
	}
	return NULL;
}

static int handle(struct call *c)
{
	bool has_body = c->rq->body && c->rq->body_len;
	const struct route *r = find(c);
	int err;

	if (has_body != methods[c->rq->method].body && !(r && r->bodiless_too))
		return call_fault(c, "%s", methods[c->rq->method].sentence);
	if (!r)
		return call_fault(c, "Invalid request method and/or path: %s %s.",
				  methods[c->rq->method].name, c->token[0]);
	count(c->api, r->count);
	err = r->handle(c);
	if (err && !c->parsed)
		count(c->api, r->fails);
	return err;
}

/* Metadata and templates are not for the log. */
static void log_request(const struct http_request *rq)
{
	const char *name = methods[rq->method].log_name;

	if (!rq->body || !strcmp(rq->path, "/mmds"))
		log_info("The API server received a %s request on \"%s\".", name, rq->path);
	else if (!strcmp(rq->path, "/cpu-config"))
		log_info("The API server received a %s request on \"%s\". To view the CPU template "
			 "received by the API, configure log-level to DEBUG",
			 name, rq->path);
	else
		log_info("The API server received a %s request on \"%s\" with body \"%.*s\".", name,
			 rq->path, (int)MIN(rq->body_len, 4096u), rq->body);
}

static void reply(struct call *c, int err, struct http_reply *rp)
{
	if (err) {
		rp->status = c->fault_status;
		free(c->out.p);
		c->out = (struct json_out){0};
		json_put(&c->out, "{\"fault_message\":");
		json_put_string(&c->out, c->fault);
		json_put(&c->out, "}");
		log_at(LEVEL_ERROR, __FILE__, __LINE__,
		       "Received Error. Status code: %u %s. Message: %s", rp->status,
		       rp->status == 413 ? "Payload too large" : "Bad Request", c->fault);
	} else {
		rp->status = c->out.p ? 200 : 204;
		log_info("The request was executed successfully. Status code: %u %s.", rp->status,
			 rp->status == 200 ? "OK" : "No Content");
	}
	rp->body = c->out.p;
	rp->body_len = c->out.len;
	rp->deprecated = c->deprecated;
}

/* JSON takes thirty times its text, and libc keeps what is freed: more goes back to the host. */
#define GARBAGE_MAX (64 * KIB)

void api_handle(void *ctx, const struct http_request *rq, struct http_reply *rp)
{
	struct call c = {.api = ctx, .rq = rq, .fault_status = 400};
	uint64_t start = clock_now();
	char *path = strdup(rq->path);
	int err = -ENOMEM;

	log_request(rq);
	if (path) {
		tokenize(&c, path);
		err = handle(&c);
	} else {
		call_fault(&c, "%s", os_error(ENOMEM));
	}
	reply(&c, err, rp);
	json_free(&c.doc);
	free(path);
	if (rq->body && mallinfo2().fordblks >= GARBAGE_MAX)
		malloc_trim(0);
	log_debug("Total previous API call duration: %llu us.",
		  (unsigned long long)(clock_now() - start) / 1000);
}

/* --- the API --- */

void api_init(struct api *a, const struct api_conf *conf)
{
	*a = (struct api){.conf = *conf};
	config_init(&a->config, conf->files, conf->pci);
}

void api_finish(struct api *a)
{
	if (a->config.cpu)
		cpu_template_free(a->config.cpu);
	config_finish(&a->config);
	free(a->properties);
}

int api_start(struct api *a, char *why)
{
	int err = config_machine(&a->config, why);

	if (!err && a->conf.vmm.start(a->conf.vmm.ctx, &a->config.machine))
		err = config_refuse(why, "%s", log_last());
	if (err)
		return err;
	a->state = MACHINE_RUNNING;
	config_started(&a->config);
	return 0;
}
