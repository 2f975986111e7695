/*
 * store.h - the metadata: one JSON value that the operator puts and patches [RFC 7396], and of
 * which a guest reads what a path names. Changing it takes heap, reading it does not. Loop's
 * thread.
 */
#pragma once
#include <jansson.h>

#include "../util.h"

#define STORE_DEPTH 127u /* of arrays and objects in each other; serde_json reads no more */

struct store {
	json_t *root; /* ours alone, keys sorted by their bytes; NULL: nothing was put */
	size_t limit; /* bytes of its text */
};

enum mmds_result {
	MMDS_OK,
	MMDS_TOO_LARGE,
	MMDS_NOT_INITIALIZED, /* a patch, and nothing was put before */
	MMDS_TOO_DEEP,
	MMDS_NO_MEMORY,
};

void store_init(struct store *s, size_t limit);
void store_finish(struct store *s);
/* Copies what it keeps, of what json_parse() has read. When it fails the store is as before. */
enum mmds_result store_put(struct store *s, json_t *value);
enum mmds_result store_patch(struct store *s, json_t *patch);
/*
 * What `path` names: its parts between slashes, of which several are as one, are keys or array
 * indices [RFC 6901]. NULL: there is nothing. No heap; the value holds until the next change.
 */
json_t *store_find(const struct store *s, const char *path, size_t len);
