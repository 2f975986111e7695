/*
 * api_fuzz.c - the API, one request after the other: "METHOD path", a newline, the body, up to a
 * NUL byte. Files are those of fake.h, so that no name opens anything of the host.
 */
#include <stdarg.h>

#include "../../src/api/config_file.h"
#include "../unit/api/fake.h"
#include "fuzz.h"

#define REQUESTS_MAX 64u

static char *rendered(void)
{
	struct json_out o = {0};

	config_put_all(&fake.api.config, &o);
	CHECK(o.p);
	return o.p;
}

/* What every client relies on. */
static void check_reply(const struct http_reply *rp)
{
	json_error_t e;
	json_t *v;

	CHECK(rp->status == 200 || rp->status == 204 || rp->status == 400 || rp->status == 413);
	CHECK((rp->status == 204) == !rp->body);
	if (!rp->body)
		return;
	v = json_loadb(rp->body, rp->body_len, JSON_DECODE_ANY, &e);
	/* Only integers beyond jansson's are no mistake. */
	CHECK(v || json_error_code(&e) == json_error_numeric_overflow);
	if (v && rp->status >= 400)
		CHECK(json_object_size(v) == 1 &&
		      *json_string_value(json_object_get(v, "fault_message")));
	json_decref(v);
}

static void ask(enum http_method method, const char *path, const char *body, size_t len)
{
	struct http_request rq = {
		.method = method, .path = path, .body = len ? body : NULL, .body_len = len};
	enum machine_state state = fake.api.state;
	char *before = rendered(), *after;
	struct http_reply rp = {0};

	api_handle(&fake.api, &rq, &rp);
	check_reply(&rp);
	after = rendered();
	if (rp.status >= 400) { /* nothing changed */
		CHECK(!strcmp(before, after));
		CHECK(fake.api.state == state);
	}
	CHECK(state == MACHINE_NOT_STARTED || fake.api.state != MACHINE_NOT_STARTED);
	free(before);
	free(after);
	free(rp.body);
}

static enum http_method method_of(const char *word)
{
	static const char *const names[] = {"GET ", "PUT ", "PATCH ", "DELETE "};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(word, names[i], strlen(names[i])))
			return (enum http_method)i;
	return (enum http_method)((unsigned char)*word % 4);
}

/* One request in a block of its own: reads beyond its end are seen. */
static void request(const uint8_t *data, size_t size)
{
	const uint8_t *newline = memchr(data, '\n', size);
	size_t head = newline ? (size_t)(newline - data) : size,
	       len = newline ? size - head - 1 : 0;
	char *word = malloc(head + 1), *body = malloc(len + 1), *path;

	CHECK(word && body);
	memcpy(word, data, head);
	word[head] = '\0';
	if (len)
		memcpy(body, newline + 1, len);
	body = realloc(body, len ? len : 1);
	CHECK(body);
	path = strchr(word, ' ');
	ask(method_of(word), path ? path + 1 : word, body, len);
	free(word);
	free(body);
}

/* What is configured can be written to a file, from which the same comes again. */
static void check_round_trip(void)
{
	static char why[CONFIG_WHY];
	char *before = rendered(), *after;
	unsigned files;

	fake_end();
	CHECK(!open_files());
	fake_begin(false);
	fake.file = before;
	*why = '\0';
	config_file_start(&fake.api, "vm.json", NULL, why);
	CHECK(strncmp(why, "Configuration", 13));
	after = rendered();
	CHECK(!strcmp(before, after));
	files = 1 + (fake.api.config.boot.initrd != NULL) + fake.api.config.drives +
		fake.api.config.nets + (fake.api.config.vsock.path != NULL);
	/* A machine that runs has its own. */
	CHECK(open_files() == (fake.api.state == MACHINE_NOT_STARTED ? files : 0));
	free(before);
	free(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fake_begin(size && *data & 1);
	for (unsigned i = 0; size && i < REQUESTS_MAX; i++) {
		const uint8_t *nul = memchr(data, '\0', size);
		size_t len = nul ? (size_t)(nul - data) : size;

		request(data, len);
		data += nul ? len + 1 : len;
		size -= nul ? len + 1 : len;
	}
	check_round_trip();
	fake_end();
	CHECK(!open_files());
	return 0;
}
