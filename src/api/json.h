/*
 * json.h - bodies of requests, held to strict tables of fields over jansson. What is wrong is told
 * in the words of serde, Firecracker's reader, which clients look for. And a writer of replies.
 */
#pragma once
#include <jansson.h>

#include "../json_big.h"
#include "../util.h"

#define JSON_WHY   512u
#define JSON_MARKS 64u
#define JSON_DEPTH 128u /* of nesting; deeper is refused */

/* Where a member of the outermost object ends: its name, its value. Bytes from the start. */
struct json_mark {
	size_t name, value;
};

struct json_doc {
	json_t *root;
	char why[JSON_WHY]; /* what is wrong, once something is */
	const char *text;
	size_t at;  /* the place of what is wrong */
	size_t end; /* of the outermost value */
	unsigned marks;
	struct json_mark mark[JSON_MARKS];
};

enum json_kind {
	JSON_KIND_ANY,
	JSON_KIND_STRING,
	JSON_KIND_PATH,
	JSON_KIND_BOOL,
	JSON_KIND_U8,
	JSON_KIND_U16,
	JSON_KIND_U32,
	JSON_KIND_U64,
	JSON_KIND_SIZE,    /* usize: 64 bits under another name */
	JSON_KIND_CHOICE,  /* one of `words` */
	JSON_KIND_OBJECT,  /* as `sub` says */
	JSON_KIND_LIST,    /* of such objects */
	JSON_KIND_STRINGS, /* a list of strings */
	JSON_KIND_MAP,     /* from strings to strings */
};

enum json_need {
	JSON_REQUIRED,
	JSON_DEFAULT,  /* may be missing, but not null */
	JSON_OPTIONAL, /* may be missing or null, which is the same */
};

struct json_table;

struct json_field {
	const char *name;
	enum json_kind kind;
	enum json_need need;
	const char *const *words; /* NULL ends them */
	const struct json_table *sub;
	const char *(*check)(const char *s); /* of a string: what is wrong with it, or NULL */
};

struct json_table {
	const char *name; /* the structure's, in Firecracker */
	bool open;        /* unknown fields are passed over */
	unsigned n;
	const struct json_field *field;
};

/* Whether a name may come twice: in an object of the client's own the last one counts. */
enum json_names { JSON_NAMES_ONCE, JSON_NAMES_FREE };

/*
 * Reads `text`, which stays with the caller as long as `d`. Integers up to 2^64 - 1 keep their
 * value, those beyond 2^63 - 1 as strings that json_big() knows; with JSON_NAMES_FREE
 * json_big_text() is what the other strings are. 0, or -EINVAL with d->why. json_free() is due in
 * either case.
 */
int json_parse(struct json_doc *d, const char *text, size_t len, enum json_names names);
void json_free(struct json_doc *d);
/*
 * Holds `v`, the root or a part of it, to the table, and sets got[i] to the value of field i, NULL
 * if it is missing or null. 0, or -EINVAL with d->why.
 */
int json_fields(struct json_doc *d, const json_t *v, const struct json_table *t,
		const json_t **got);

/* Of values that json_fields() has passed; NULL gives the default. */
uint64_t json_u64(const json_t *v, uint64_t none);
bool json_bool(const json_t *v, bool none);
unsigned json_choice(const json_t *v, const char *const *words, unsigned none);

/* A text that grows. */
struct json_out {
	char *p; /* NULL: nothing yet, or memory ran out */
	size_t len, cap;
	bool failed;
};

void json_put(struct json_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* In quotes, escaped as serde does; NULL: null. */
void json_put_string(struct json_out *o, const char *s);
