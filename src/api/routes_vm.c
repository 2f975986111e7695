/* routes_vm.c - requests about the machine as a whole, and about what tells of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../log.h"
#include "os_error.h"
#include "routes.h"
#include "version.h"

/* --- what is there --- */

int route_get_instance(struct call *c)
{
	static const char *const states[] = {[MACHINE_NOT_STARTED] = "Not started",
					     [MACHINE_RUNNING] = "Running",
					     [MACHINE_PAUSED] = "Paused"};

	json_put(&c->out, "{\"id\":");
	json_put_string(&c->out, c->api->conf.id);
	json_put(&c->out,
		 ",\"state\":\"%s\",\"vmm_version\":\"" FC_VERSION
		 "\",\"app_name\":\"Firecracker\"}",
		 states[c->api->state]);
	return 0;
}

int route_get_version(struct call *c)
{
	json_put(&c->out, "{\"firecracker_version\":\"" FC_VERSION "\"}");
	return 0;
}

int route_get_config(struct call *c)
{
	config_put_all(&c->api->config, &c->out);
	return 0;
}

int route_get_machine(struct call *c)
{
	config_put_vm(&c->api->config, &c->out);
	return 0;
}

/* --- actions, and the state --- */

enum { FLUSH_METRICS, INSTANCE_START, SEND_CTRL_ALT_DEL };

static const char *const actions[] = {"FlushMetrics", "InstanceStart", "SendCtrlAltDel", NULL};
static const struct json_field action_field = {"action_type", JSON_KIND_CHOICE, JSON_REQUIRED,
					       .words = actions};
static const struct json_table action_table = {
	.name = "ActionBody", .n = 1, .field = &action_field};

static int start(struct call *c)
{
	char why[CONFIG_WHY] = "";
	int err = call_before_start(c);

	if (!err && api_start(c->api, why))
		err = call_fault(c, "Start microvm error: %s", why);
	return err;
}

static int flush_metrics(struct call *c)
{
	const struct api_hooks *h = &c->api->conf.hooks;
	int err = call_after_start(c), e;

	if (err || !h->flush_metrics)
		return err;
	e = h->flush_metrics(h->ctx);
	if (e)
		err = call_fault(c,
				 "Internal VMM error: Metrics error: Failed to write metrics: %s",
				 os_error(e));
	return err;
}

static int ctrl_alt_del(struct call *c)
{
	const struct api_vmm *v = &c->api->conf.vmm;
	int err = call_after_start(c);

	if (!err && !v->ctrl_alt_del(v->ctx))
		err = call_fault(c, "Internal VMM error: I8042 error: Keyboard interrupt disabled "
				    "by guest driver.");
	return err;
}

int route_put_actions(struct call *c)
{
	int err = call_fields(c, &action_table);

	if (err)
		return err;
	switch (json_choice(c->got[0], actions, 0)) {
	case FLUSH_METRICS: return flush_metrics(c);
	case INSTANCE_START: return start(c);
	default: return ctrl_alt_del(c);
	}
}

static const char *const states[] = {"Paused", "Resumed", NULL};
static const struct json_field state_field = {"state", JSON_KIND_CHOICE, JSON_REQUIRED,
					      .words = states};
static const struct json_table state_table = {.name = "Vm", .n = 1, .field = &state_field};

int route_patch_vm(struct call *c)
{
	const struct api_vmm *v = &c->api->conf.vmm;
	struct metrics_latencies *l = &c->api->conf.count->latencies;
	uint64_t from = clock_now(), us;
	int err = call_fields(c, &state_table);
	bool pause;

	if (!err)
		err = call_after_start(c);
	if (err)
		return err;
	pause = json_choice(c->got[0], states, 0) == 0;
	(pause ? v->pause : v->resume)(v->ctx);
	c->api->state = pause ? MACHINE_PAUSED : MACHINE_RUNNING;
	us = (clock_now() - from) / 1000;
	*(pause ? &l->pause_vm : &l->resume_vm) = us;
	*(pause ? &l->vmm_pause_vm : &l->vmm_resume_vm) = us;
	log_info("'%s vm' API request took %llu us.", pause ? "pause" : "resume",
		 (unsigned long long)us);
	return 0;
}

/* --- configuration --- */

int route_put_boot(struct call *c)
{
	return call_put(c, &config_boot_source, "Boot source error: ");
}

static int set_machine(struct call *c, const struct config_resource *r)
{
	if (c->got[CONFIG_MACHINE_TEMPLATE])
		call_deprecated(c,
				c->rq->method == HTTP_PUT
					? "PUT /machine-config: cpu_template field is deprecated."
					: "PATCH /machine-config: cpu_template field is "
					  "deprecated.");
	return call_put(c, r, "Machine config error: ");
}

int route_put_machine(struct call *c)
{
	int err = call_fields(c, &config_machine_put.table);

	return err ? err : set_machine(c, &config_machine_put);
}

int route_patch_machine(struct call *c)
{
	bool any = false;
	int err = call_fields(c, &config_machine_patch.table);

	for (unsigned i = 0; i < config_machine_patch.table.n; i++)
		any |= c->got[i] != NULL;
	if (!err && !any) {
		call_any_time(c);
		err = call_fault(c, "Empty PATCH request.");
	}
	return err ? err : set_machine(c, &config_machine_patch);
}

int route_put_cpu(struct call *c)
{
	char why[CONFIG_WHY] = "";
	int err = call_body(c, JSON_NAMES_ONCE);

	if (!err)
		err = call_before_start(c);
	if (!err && api_set_cpu(c->api, c->doc.root, why)) {
		c->parsed = false; /* it is the request that is wrong */
		err = call_fault(c,
				 "An error occurred when deserializing the json body of a request: "
				 "%s.",
				 why);
	}
	return err;
}

int route_put_serial(struct call *c)
{
	return call_put(c, &config_serial_put, "");
}

/* --- log and metrics --- */

int route_put_logger(struct call *c)
{
	char why[CONFIG_WHY] = "";
	int err = call_fields(c, &api_logger_table);

	if (!err)
		err = call_before_start(c);
	if (!err && api_set_logger(c->api, c->got, why))
		err = call_fault(c, "Logger error: %s", why);
	return err;
}

int route_put_metrics(struct call *c)
{
	char why[CONFIG_WHY] = "";
	int err = call_fields(c, &api_metrics_table);

	if (!err)
		err = call_before_start(c);
	if (!err && api_set_metrics(c->api, c->got, why))
		err = call_fault(c, "Metrics error: %s", why);
	return err;
}

/* --- what there is not --- */

int route_put_snapshot(struct call *c)
{
	const char *kind = c->token[1];
	int err;

	if (!kind)
		return call_fault(c, "Missing snapshot operation type.");
	if (strcmp(kind, "create") && strcmp(kind, "load"))
		return call_fault(c, "Invalid request method and/or path: PUT /snapshot/%s.", kind);
	err = *kind == 'c' ? call_after_start(c) : call_before_start(c);
	return err ? err
		   : call_fault(c, "The requested operation is not supported: minnow has no "
				   "snapshots.");
}
