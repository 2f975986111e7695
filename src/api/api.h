/*
 * api.h - Firecracker's API: a request in, what it says done or refused, the reply out. Between the
 * server, which has the bytes, and the monitor, which has the machine. Loop's thread.
 */
#pragma once
#include "config.h"
#include "http.h"
#include "logger.h"
#include "metrics.h"
#include "vmm.h"

struct api_metrics {
	const char *path;
	bool emit_id;           /* the instance's id is in each line */
	const char *properties; /* JSON, an object of strings; NULL: none. Stays */
};

/*
 * What belongs to others. Those that can fail: 0, or -errno with the sentence in `why`, CONFIG_WHY
 * bytes. A NULL says that there is no such thing.
 */
struct api_hooks {
	void *ctx;
	int (*logger)(void *ctx, const struct logger_conf *c, char *why, size_t size);
	int (*metrics)(void *ctx, const struct api_metrics *c, char *why, size_t size);
	int (*flush_metrics)(void *ctx); /* no sentence */
	/* Metadata; `why` is the whole fault message. -EFBIG: it is beyond its limit. */
	int (*mmds_put)(void *ctx, json_t *value, char *why, size_t size);
	int (*mmds_patch)(void *ctx, json_t *value, char *why, size_t size);
	char *(*mmds_get)(void *ctx, size_t *len); /* from malloc(); NULL: no memory */
	void (*mmds_config)(void *ctx, const struct config_mmds *m); /* each time it is set */
};

struct api_conf {
	const char *id; /* the instance's; stays */
	bool pci;       /* --enable-pci */
	struct api_vmm vmm;
	struct api_hooks hooks;
	const struct config_files *files; /* &config_host */
	struct metrics_api *count;        /* &metrics_api */
};

struct api {
	struct api_conf conf;
	enum machine_state state;
	struct api_config config;
	char *properties; /* of the metrics */
};

/* Must not move. */
void api_init(struct api *a, const struct api_conf *conf);
void api_finish(struct api *a);
/* Answers one request; `ctx` is the struct api. `rp` is all zero; its body becomes the caller's. */
void api_handle(void *ctx, const struct http_request *rq, struct http_reply *rp);
/* Starts what is configured. 0, or -EINVAL with the sentence in `why`, CONFIG_WHY bytes. */
int api_start(struct api *a, char *why);
/* Log and metrics, as config_resource: for requests and for the configuration file. */
extern const struct json_table api_logger_table, api_metrics_table;
int api_set_logger(struct api *a, const json_t *const *got, char *why);
int api_set_metrics(struct api *a, const json_t *const *got, char *why);
int api_set_cpu(struct api *a, const json_t *v, char *why);
