/*
 * json.c - a look at the text before jansson's, and its result held to tables.
 *
 * jansson's integers are of 63 bits. A scan of the text first turns each larger one into a string
 * that starts with U+0001. Strings of clients that start so are refused, or get a second one where
 * they are metadata: no value is rounded and none is mistaken. The scan also notes where the
 * members of the outermost object end, which jansson does not tell.
 */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIG_MARK "\\u0001" /* JSON_BIG as it is written in JSON */

/* --- what is wrong --- */

static unsigned line_of(const struct json_doc *d, size_t *column)
{
	unsigned line = 1;
	size_t start = 0;

	for (size_t i = 0; i < d->at; i++)
		if (d->text[i] == '\n') {
			line++;
			start = i + 1;
		}
	*column = d->at - start;
	return line;
}

__attribute__((format(printf, 2, 3))) static int fail(struct json_doc *d, const char *fmt, ...)
{
	size_t len, column;
	unsigned line = line_of(d, &column);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->why, sizeof(d->why) - 64, fmt, ap); /* room for the place */
	va_end(ap);
	len = strlen(d->why);
	snprintf(d->why + len, sizeof(d->why) - len, " at line %u column %zu", line, column);
	return -EINVAL;
}

/* --- the scan --- */

struct scan {
	struct json_doc *d;
	const char *text;
	size_t len, at, out_len;
	char *out, open[JSON_DEPTH]; /* the brackets that are not closed yet */
	unsigned depth;
	bool torn; /* the text ends in a string */
	bool free; /* strings may start with the mark */
};

static void scan_copy(struct scan *s, size_t from)
{
	memcpy(s->out + s->out_len, s->text + from, s->at - from);
	s->out_len += s->at - from;
}

static void scan_add(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	memcpy(s->out + s->out_len, word, len);
	s->out_len += len;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Is a name the string that has just ended? */
static bool scan_is_name(const struct scan *s)
{
	size_t next = s->at;

	while (next < s->len && is_space(s->text[next]))
		next++;
	return next < s->len && s->text[next] == ':';
}

static int scan_string(struct scan *s)
{
	size_t from = s->at++, mark = strlen(BIG_MARK);
	bool marked = s->len - s->at >= mark && !memcmp(s->text + s->at, BIG_MARK, mark), name;

	if (marked && !s->free) {
		s->d->at = s->at + mark;
		return fail(s->d,
			    "invalid value: a string starts with the control character U+0001");
	}
	while (s->at < s->len && s->text[s->at] != '"')
		s->at += s->text[s->at] == '\\' && s->at + 1 < s->len ? 2 : 1;
	s->torn = s->at == s->len;
	s->at += !s->torn;
	name = scan_is_name(s);
	if (marked && !name) {
		scan_add(s, "\"" BIG_MARK);
		from++;
	}
	scan_copy(s, from);
	if (name && s->depth == 1 && s->d->marks < JSON_MARKS)
		s->d->mark[s->d->marks++] = (struct json_mark){s->at, s->at};
	return 0;
}

/*
 * What does not fit jansson's integers, of which serde takes -0 for none either; what is no integer
 * at all is left to jansson.
 */
static void scan_number(struct scan *s)
{
	size_t from = s->at, len;
	bool integer = true, fits;
	char digits[24] = "";

	for (; s->at < s->len && s->text[s->at] && strchr("0123456789+-.eE", s->text[s->at]);
	     s->at++)
		integer &= s->text[s->at] >= '0' && s->text[s->at] <= '9';
	if (s->text[from] == '-' && s->at - from > 1)
		integer = strspn(s->text + from + 1, "0123456789") >= s->at - from - 1;
	len = s->at - from;
	if (!integer || len < 19) {
		scan_copy(s, from);
		scan_add(s, len == 2 && !memcmp(s->text + from, "-0", 2) ? ".0" : "");
		return;
	}
	memcpy(digits, s->text + from, MIN(len, sizeof(digits) - 1));
	errno = 0;
	(void)strtoll(digits, NULL, 10);
	fits = len < sizeof(digits) && !errno;
	errno = 0;
	(void)strtoull(digits, NULL, 10);
	if (!fits && len < sizeof(digits) && !errno && *digits > '0') {
		scan_add(s, "\"" BIG_MARK);
		scan_copy(s, from);
		scan_add(s, "\"");
	} else {
		scan_copy(s, from);
		scan_add(s, fits ? "" : "e0");
	}
}

/* The value before `,` or `}` ends here. */
static void scan_member_end(struct scan *s)
{
	size_t end = s->at;

	while (end && is_space(s->text[end - 1]))
		end--;
	if (s->depth == 1 && s->d->marks)
		s->d->mark[s->d->marks - 1].value = end;
}

static int scan_one(struct scan *s)
{
	char c = s->text[s->at];

	if (c == '"')
		return scan_string(s);
	if ((c >= '0' && c <= '9') || c == '-') {
		scan_number(s);
		return 0;
	}
	if (c == ',' || c == '}')
		scan_member_end(s);
	if (c == '{' || c == '[')
		s->open[s->depth++] = c;
	else if ((c == '}' || c == ']') && s->depth)
		s->depth--;
	s->at++;
	scan_copy(s, s->at - 1);
	if (s->depth >= JSON_DEPTH) {
		s->d->at = s->at;
		return fail(s->d, "recursion limit exceeded");
	}
	return 0;
}

/* --- jansson --- */

/* What serde is in the middle of when the text ends. */
static const char *ended_in(const struct scan *s)
{
	if (s->torn)
		return "a string";
	if (!s->depth || s->text[s->len - 1] == ',' || s->text[s->len - 1] == ':')
		return "a value";
	return s->open[s->depth - 1] == '[' ? "a list" : "an object";
}

/* jansson's sentence is in its own words. */
static int parse_failed(struct json_doc *d, const json_error_t *e, const struct scan *s)
{
	const char *name = strchr(e->text, '"'), *end = strrchr(e->text, '"');

	d->at = MIN((size_t)MAX(e->position, 0), s->len);
	if (!*e->text) /* then there is no code either */
		return fail(d, "no memory for the body");
	switch (json_error_code(e)) {
	case json_error_premature_end_of_input: return fail(d, "EOF while parsing %s", ended_in(s));
	case json_error_end_of_input_expected: return fail(d, "trailing characters");
	case json_error_duplicate_key:
		if (name && end > name)
			return fail(d, "duplicate field `%.*s`", (int)(end - name - 1), name + 1);
		return fail(d, "duplicate field");
	case json_error_invalid_utf8: return fail(d, "invalid unicode code point");
	case json_error_numeric_overflow: return fail(d, "number out of range");
	case json_error_stack_overflow: return fail(d, "recursion limit exceeded");
	case json_error_null_character:
	case json_error_null_byte_in_key: return fail(d, "a string holds a NUL character");
	default: return fail(d, "expected value: %s", e->text);
	}
}

int json_parse(struct json_doc *d, const char *text, size_t len, enum json_names names)
{
	size_t flags = JSON_DECODE_ANY;
	struct scan s = {.d = d, .text = text, .len = len, .free = names == JSON_NAMES_FREE};
	json_error_t e = {.text = ""};
	int err = 0;

	*d = (struct json_doc){.text = text};
	while (len && is_space(text[len - 1]))
		len--;
	d->end = len;
	/* Nothing grows by more than 8 bytes, nor to more than twice its length. */
	s.out = malloc(2 * s.len + 16);
	if (!s.out)
		return fail(d, "no memory for the body");
	while (s.at < s.len && !err)
		err = scan_one(&s);
	if (names == JSON_NAMES_ONCE)
		flags |= JSON_REJECT_DUPLICATES;
	if (!err && !s.out_len) {
		err = fail(d, "EOF while parsing a value");
	} else if (!err) {
		d->root = json_loadb(s.out, s.out_len, flags, &e);
		if (!d->root)
			err = parse_failed(d, &e, &s);
	}
	free(s.out);
	return err;
}

void json_free(struct json_doc *d)
{
	json_decref(d->root);
	d->root = NULL;
}

/* --- tables --- */

/* A value as serde names it. */
static const char *described(const json_t *v, char *buf, size_t size)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT: return "map";
	case JSON_ARRAY: return "sequence";
	case JSON_NULL: return "null";
	case JSON_TRUE: return "boolean `true`";
	case JSON_FALSE: return "boolean `false`";
	case JSON_REAL: snprintf(buf, size, "floating point `%.17g`", json_real_value(v)); break;
	case JSON_INTEGER:
		snprintf(buf, size, "integer `%" JSON_INTEGER_FORMAT "`", json_integer_value(v));
		break;
	default:
		if (json_big(v))
			snprintf(buf, size, "integer `%s`", json_string_value(v) + 1);
		else
			snprintf(buf, size, "string \"%s\"", json_string_value(v));
		break;
	}
	return buf;
}

static int wrong_type(struct json_doc *d, const json_t *v, const char *expected)
{
	char buf[128];

	return fail(d, "invalid type: %s, expected %s", described(v, buf, sizeof(buf)), expected);
}

/* "`a`", "`a` or `b`", "one of `a`, `b`, `c`". */
static const char *listed(unsigned n, const char *(*name)(const void *of, unsigned i),
			  const void *of, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, n > 2 ? "one of " : "");

	for (unsigned i = 0; i < n && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s`%s`",
					!i       ? ""
					: n == 2 ? " or "
						 : ", ",
					name(of, i));
	return buf;
}

static const char *word_name(const void *of, unsigned i)
{
	return ((const char *const *)of)[i];
}

static const char *field_name(const void *of, unsigned i)
{
	return ((const struct json_table *)of)->field[i].name;
}

static int check_choice(struct json_doc *d, const json_t *v, const char *const *words)
{
	const char *s = json_string_value(v);
	char list[192];
	unsigned n = 0;

	if (!s || json_big(v))
		return fail(d, "expected value");
	for (; words[n]; n++)
		if (!strcmp(words[n], s))
			return 0;
	return fail(d, "unknown variant `%.100s`, expected %s", s,
		    listed(n, word_name, words, list, sizeof(list)));
}

static int check_uint(struct json_doc *d, const json_t *v, enum json_kind kind)
{
	static const struct {
		const char *name;
		uint64_t max;
	} type[] = {
		[JSON_KIND_U8] = {"u8",    UINT8_MAX },
                  [JSON_KIND_U16] = {"u16",   UINT16_MAX},
		[JSON_KIND_U32] = {"u32",   UINT32_MAX},
                  [JSON_KIND_U64] = {"u64",   UINT64_MAX},
		[JSON_KIND_SIZE] = {"usize", UINT64_MAX},
	};
	char buf[128];

	if (!json_is_integer(v) && !json_big(v))
		return wrong_type(d, v, type[kind].name);
	if ((json_is_integer(v) && json_integer_value(v) < 0) || json_u64(v, 0) > type[kind].max)
		return fail(d, "invalid value: %s, expected %s", described(v, buf, sizeof(buf)),
			    type[kind].name);
	return 0;
}

static int check_string(struct json_doc *d, const json_t *v, const struct json_field *f,
			const char *expected)
{
	const char *wrong;

	if (!json_is_string(v) || json_big(v))
		return wrong_type(d, v, expected);
	wrong = f->check ? f->check(json_string_value(v)) : NULL;
	return wrong ? fail(d, "%s", wrong) : 0;
}

static int check_strings(struct json_doc *d, const json_t *v, const struct json_field *f)
{
	int err = 0;

	if (f->kind == JSON_KIND_STRINGS) {
		if (!json_is_array(v))
			return wrong_type(d, v, "a sequence");
		for (size_t i = 0; i < json_array_size(v) && !err; i++)
			err = check_string(d, json_array_get(v, i), f, "a string");
		return err;
	}
	if (!json_is_object(v))
		return wrong_type(d, v, "a map");
	for (void *i = json_object_iter((json_t *)v); i && !err;
	     i = json_object_iter_next((json_t *)v, i))
		err = check_string(d, json_object_iter_value(i), f, "a string");
	return err;
}

static int check_table(struct json_doc *d, const json_t *v, const struct json_table *t,
		       const json_t **got);

static int check_list(struct json_doc *d, const json_t *v, const struct json_table *t)
{
	int err = 0;

	if (!json_is_array(v))
		return wrong_type(d, v, "a sequence");
	for (size_t i = 0; i < json_array_size(v) && !err; i++)
		err = check_table(d, json_array_get(v, i), t, NULL);
	return err;
}

static int check_value(struct json_doc *d, const json_t *v, const struct json_field *f)
{
	switch (f->kind) {
	case JSON_KIND_ANY: return 0;
	case JSON_KIND_STRING: return check_string(d, v, f, "a string");
	case JSON_KIND_PATH: return check_string(d, v, f, "path string");
	case JSON_KIND_BOOL: return json_is_boolean(v) ? 0 : wrong_type(d, v, "a boolean");
	case JSON_KIND_CHOICE: return check_choice(d, v, f->words);
	case JSON_KIND_OBJECT: return check_table(d, v, f->sub, NULL);
	case JSON_KIND_LIST: return check_list(d, v, f->sub);
	case JSON_KIND_STRINGS:
	case JSON_KIND_MAP: return check_strings(d, v, f);
	default: return check_uint(d, v, f->kind);
	}
}

static int unknown_field(struct json_doc *d, const char *name, const struct json_table *t)
{
	char list[320];

	return fail(d, "unknown field `%.64s`, expected %s", name,
		    listed(t->n, field_name, t, list, sizeof(list)));
}

/* One member; its number in the outermost object tells its place. */
static int check_member(struct json_doc *d, const struct json_table *t, const char *name,
			const json_t *v, const struct json_mark *mark, const json_t **got)
{
	const struct json_field *f;
	unsigned i = 0;

	while (i < t->n && strcmp(t->field[i].name, name))
		i++;
	if (mark)
		d->at = mark->name;
	if (i == t->n)
		return t->open ? 0 : unknown_field(d, name, t);
	f = &t->field[i];
	if (mark)
		d->at = mark->value;
	if (f->need == JSON_OPTIONAL && json_is_null(v))
		return 0;
	if (got)
		got[i] = v;
	return check_value(d, v, f);
}

/* What serde says of a structure that is no object; its sequences are not taken. */
static int check_table(struct json_doc *d, const json_t *v, const struct json_table *t,
		       const json_t **got)
{
	unsigned member = 0;
	char name[64];
	int err = 0;

	for (unsigned i = 0; got && i < t->n; i++)
		got[i] = NULL;
	if (!json_is_object(v)) {
		snprintf(name, sizeof(name), "struct %s", t->name);
		return wrong_type(d, v, name);
	}
	for (void *i = json_object_iter((json_t *)v); i && !err;
	     i = json_object_iter_next((json_t *)v, i), member++)
		err = check_member(d, t, json_object_iter_key(i), json_object_iter_value(i),
				   v == d->root && member < d->marks ? &d->mark[member] : NULL,
				   got);
	if (v == d->root && !err)
		d->at = d->end;
	for (unsigned i = 0; i < t->n && !err; i++)
		if (t->field[i].need == JSON_REQUIRED && !json_object_get(v, t->field[i].name))
			err = fail(d, "missing field `%s`", t->field[i].name);
	return err;
}

int json_fields(struct json_doc *d, const json_t *v, const struct json_table *t, const json_t **got)
{
	if (v == d->root)
		d->at = d->end;
	return check_table(d, v, t, got);
}

uint64_t json_u64(const json_t *v, uint64_t none)
{
	if (!v)
		return none;
	return json_big(v) ? strtoull(json_string_value(v) + 1, NULL, 10)
			   : (uint64_t)json_integer_value(v);
}

bool json_bool(const json_t *v, bool none)
{
	return v ? json_is_true(v) : none;
}

unsigned json_choice(const json_t *v, const char *const *words, unsigned none)
{
	for (unsigned i = 0; v && words[i]; i++)
		if (!strcmp(words[i], json_string_value(v)))
			return i;
	return none;
}
