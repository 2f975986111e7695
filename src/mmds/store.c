/*
 * store.c - the metadata. A change builds a whole new value, which replaces the old one only when
 * it is known to fit. Its keys are put in order then, so that reading needs none.
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "format.h"

#define KEY_MAX   2560u /* more than a guest's request is long */
#define INDEX_MAX 9u    /* digits; no array is longer */

struct key {
	const char *name;
	size_t len;
	json_t *value;
};

void store_init(struct store *s, size_t limit)
{
	*s = (struct store){.limit = limit};
}

void store_finish(struct store *s)
{
	json_decref(s->root);
	s->root = NULL;
}

/* --- copies --- */

static bool key_less(const struct key *x, const struct key *y)
{
	int order = memcmp(x->name, y->name, MIN(x->len, y->len));

	return order < 0 || (order == 0 && x->len < y->len);
}

/* Lets keys[at] sink in the heap of `n`, until none below it is greater. */
static void key_sink(struct key *keys, size_t at, size_t n)
{
	const struct key k = keys[at];
	size_t below;

	while ((below = 2 * at + 1) < n) {
		below += below + 1 < n && key_less(&keys[below], &keys[below + 1]);
		if (!key_less(&k, &keys[below]))
			break;
		keys[at] = keys[below];
		at = below;
	}
	keys[at] = k;
}

/* Not qsort(): of many keys it asks how much memory the host has, which no filter allows. */
static void key_sort(struct key *keys, size_t n)
{
	for (size_t at = n / 2; at-- > 0;)
		key_sink(keys, at, n);
	while (n-- > 1) {
		const struct key last = keys[n];

		keys[n] = keys[0];
		keys[0] = last;
		key_sink(keys, 0, n);
	}
}

static json_t *sorted(json_t *v);

static json_t *sorted_object(json_t *v)
{
	size_t n = json_object_size(v), at = 0;
	struct key *keys = calloc(n + 1, sizeof(*keys));
	json_t *copy = json_object();

	if (keys)
		for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i))
			keys[at++] =
				(struct key){json_object_iter_key(i), json_object_iter_key_len(i),
					     json_object_iter_value(i)};
	if (keys)
		key_sort(keys, n);
	for (size_t i = 0; copy && i < n; i++) {
		if (keys &&
		    !json_object_setn_new(copy, keys[i].name, keys[i].len, sorted(keys[i].value)))
			continue;
		json_decref(copy);
		copy = NULL;
	}
	free(keys);
	return copy;
}

static json_t *sorted_array(json_t *v)
{
	json_t *copy = json_array();

	for (size_t i = 0; copy && i < json_array_size(v); i++) {
		if (!json_array_append_new(copy, sorted(json_array_get(v, i))))
			continue;
		json_decref(copy);
		copy = NULL;
	}
	return copy;
}

/* A copy that shares nothing, with its keys in order; NULL: no memory. */
static json_t *sorted(json_t *v)
{
	if (json_is_object(v))
		return sorted_object(v);
	if (json_is_array(v))
		return sorted_array(v);
	return json_deep_copy(v);
}

/* An object with the values of `v`, or of nothing; json_copy() forgets those it has no memory for.
 */
static json_t *shared(json_t *v)
{
	json_t *copy = json_object();

	for (void *i = json_object_iter(v); copy && i; i = json_object_iter_next(v, i)) {
		if (!json_object_setn_new(copy, json_object_iter_key(i),
					  json_object_iter_key_len(i),
					  json_incref(json_object_iter_value(i))))
			continue;
		json_decref(copy);
		copy = NULL;
	}
	return copy;
}

/*
 * `target` with `patch` merged in [RFC 7396, 2], which may share parts of both; `target` may be
 * NULL, for nothing. NULL: no memory.
 */
static json_t *merged(json_t *target, json_t *patch)
{
	json_t *to;

	if (!json_is_object(patch))
		return json_incref(patch);
	to = shared(target);
	for (void *i = json_object_iter(patch); to && i; i = json_object_iter_next(patch, i)) {
		const char *name = json_object_iter_key(i);
		size_t len = json_object_iter_key_len(i);
		json_t *value = json_object_iter_value(i);

		if (json_is_null(value)) {
			json_object_deln(to, name, len); /* or it is not there */
			continue;
		}
		if (!json_object_setn_new(to, name, len,
					  merged(json_object_getn(to, name, len), value)))
			continue;
		json_decref(to);
		to = NULL;
	}
	return to;
}

/* --- changes --- */

/* Are there at most `left` levels of arrays and objects? */
static bool shallow(json_t *v, unsigned left)
{
	if (!json_is_object(v) && !json_is_array(v))
		return true;
	if (left == 0)
		return false;
	for (size_t i = 0; i < json_array_size(v); i++)
		if (!shallow(json_array_get(v, i), left - 1))
			return false;
	for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i))
		if (!shallow(json_object_iter_value(i), left - 1))
			return false;
	return true;
}

enum mmds_result store_put(struct store *s, json_t *value)
{
	struct text measure = {0};
	json_t *copy;

	if (!shallow(value, STORE_DEPTH))
		return MMDS_TOO_DEEP;
	format_json(&measure, value);
	if (measure.len > s->limit)
		return MMDS_TOO_LARGE;
	copy = sorted(value);
	if (!copy)
		return MMDS_NO_MEMORY;
	json_decref(s->root);
	s->root = copy;
	return MMDS_OK;
}

enum mmds_result store_patch(struct store *s, json_t *patch)
{
	enum mmds_result result;
	json_t *whole;

	if (!s->root)
		return MMDS_NOT_INITIALIZED;
	if (!shallow(patch, STORE_DEPTH))
		return MMDS_TOO_DEEP;
	whole = merged(s->root, patch);
	if (!whole)
		return MMDS_NO_MEMORY;
	result = store_put(s, whole);
	json_decref(whole);
	return result;
}

/* --- reading --- */

/* A part of a path as the key that it stands for: "~1" is a slash and "~0" a tilde. */
static size_t unescape(const char *part, size_t len, char key[KEY_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++, n++) {
		key[n] = part[i];
		if (part[i] != '~' || i + 1 == len || (part[i + 1] != '0' && part[i + 1] != '1'))
			continue;
		key[n] = part[++i] == '1' ? '/' : '~';
	}
	return n;
}

static json_t *element(json_t *array, const char *part, size_t len)
{
	size_t at = 0;

	if (len > INDEX_MAX || (part[0] == '0' && len > 1))
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (part[i] < '0' || part[i] > '9')
			return NULL;
		at = at * 10 + (size_t)(part[i] - '0');
	}
	return json_array_get(array, at);
}

json_t *store_find(const struct store *s, const char *path, size_t len)
{
	json_t *v = s->root ? s->root : json_null();
	const char *end = path + len;
	char key[KEY_MAX];

	while (v) {
		const char *part;
		size_t n;

		while (path < end && *path == '/')
			path++;
		if (path == end)
			break;
		part = path;
		while (path < end && *path != '/')
			path++;
		n = (size_t)(path - part);
		if (n > sizeof(key))
			return NULL;
		if (json_is_object(v))
			v = json_object_getn(v, key, unescape(part, n, key));
		else
			v = json_is_array(v) ? element(v, part, n) : NULL;
	}
	return v;
}
