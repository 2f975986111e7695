/* routes.h - what the handlers of requests share: see api.c. */
#pragma once
#include "api.h"

#define CALL_FAULT 1024u

/* One request on its way. */
struct call {
	struct api *api;
	const struct http_request *rq;
	const char *token[3]; /* of the path; NULL: there is none */
	struct json_doc doc;  /* the body */
	const json_t *got[CONFIG_FIELDS];
	bool parsed; /* what goes wrong from here on is no mistake in the request */
	bool deprecated;
	unsigned fault_status;
	char fault[CALL_FAULT];
	struct json_out out; /* nothing: 204 */
};

/* The fault message; -EINVAL. */
int call_fault(struct call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads the body; then holds it to a table. 0 or -EINVAL, the fault is set. */
int call_body(struct call *c, enum json_names names);
int call_fields(struct call *c, const struct json_table *t);
/* The request is fine; is it the time for it? Each is called once a request. */
int call_before_start(struct call *c);
int call_after_start(struct call *c);
void call_any_time(struct call *c);
/* The id after the resource's name. 0 or -EINVAL. */
int call_id(struct call *c);
/* Something deprecated is in it. */
void call_deprecated(struct call *c, const char *what);
/* PUT of what is configured before the start: a fault is `prefix` and the configuration's. */
int call_put(struct call *c, const struct config_resource *r, const char *prefix);

typedef int route_fn(struct call *c);

route_fn route_get_instance, route_get_version, route_get_config, route_put_actions, route_patch_vm,
	route_put_boot, route_get_machine, route_put_machine, route_patch_machine, route_put_cpu,
	route_put_logger, route_put_metrics, route_put_serial, route_put_snapshot;

route_fn route_put_drive, route_patch_drive, route_put_net, route_patch_net, route_put_vsock,
	route_put_entropy, route_get_balloon, route_put_balloon, route_patch_balloon,
	route_get_mmds, route_put_mmds, route_patch_mmds, route_put_pmem, route_patch_pmem,
	route_delete, route_get_hotplug, route_put_hotplug, route_patch_hotplug;
