/* args.c - Firecracker's command line rules and sentences [src/utils/src/arg_parser.rs]. */
#include "args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ID_MAX 64

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static const char *after_dashes(const char *s)
{
	return strncmp(s, "--", 2) ? NULL : s + 2;
}

static unsigned find(const struct args *a, const char *name)
{
	unsigned i;

	for (i = 0; i < a->n; i++)
		if (!strcmp(a->table[i].name, name))
			break;
	return i;
}

static bool given(const struct args *a, const char *name)
{
	unsigned i = find(a, name);

	return i < a->n && a->val[i] && a->val[i] != a->table[i].def;
}

static int take(struct args *a, int *i, char *why, size_t len)
{
	const char *name = after_dashes(a->argv[*i]);
	unsigned arg;

	arg = name ? find(a, name) : a->n;
	if (arg == a->n)
		return refuse(why, len,
			      "Found argument '%s' which wasn't expected, or isn't valid in this "
			      "context.",
			      name ? name : a->argv[*i]);
	if (a->val[arg] && !a->table[arg].many)
		return refuse(why, len, "The argument '%s' was provided more than once.", name);
	a->val[arg] = name;
	if (!a->table[arg].value)
		return 0;
	if (++*i >= a->end || after_dashes(a->argv[*i]))
		return refuse(why, len,
			      "The argument '%s' requires a value, but none was supplied.", name);
	a->val[arg] = a->argv[*i];
	return 0;
}

/* What an argument asks of the others, in the order of the names. */
static int check_needs(const struct args *a, char *why, size_t len)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct arg *arg = &a->table[i];
		const char *missing = NULL;

		if (arg->required && !a->val[i])
			missing = arg->name;
		else if (a->val[i] && arg->requires && !given(a, arg->requires))
		missing = arg->requires;
		if (missing)
			return refuse(why, len, "Argument '%s' required, but not found.", missing);
		if (a->val[i] && arg->forbids && given(a, arg->forbids))
			return refuse(why, len,
				      "Argument '%s' cannot be used together with argument '%s'.",
				      arg->forbids, arg->name);
	}
	return 0;
}

int args_parse(struct args *a, const struct arg *table, unsigned n, int argc, char **argv,
	       char *why, size_t len)
{
	int err = 0;

	*a = (struct args){.table = table, .n = n, .argv = argv, .end = argc};
	a->extra = argv + argc;
	for (int i = 1; i < a->end; i++) {
		if (!strcmp(argv[i], "--")) {
			a->extra = argv + i + 1;
			a->end = i;
		}
		a->help = a->help || !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
		a->version = a->version || !strcmp(argv[i], "--version");
	}
	if (a->help || a->version)
		return 0;
	for (int i = 1; i < a->end && !err; i++)
		err = take(a, &i, why, len);
	if (!err)
		err = check_needs(a, why, len);
	for (unsigned i = 0; i < n; i++)
		if (!a->val[i])
			a->val[i] = table[i].def;
	return err;
}

const char *args_next(const struct args *a, unsigned arg, int *pos)
{
	/* No value starts with "--": the name is never mistaken for one. */
	for (int i = *pos + 1; i + 1 < a->end; i++) {
		const char *name = after_dashes(a->argv[i]);

		if (name && !strcmp(name, a->table[arg].name)) {
			*pos = i + 1;
			return a->argv[i + 1];
		}
	}
	return NULL;
}

/* --- the text of --help --- */

struct text {
	char *buf;
	size_t size, len; /* the length that the whole text has */
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	size_t at = MIN(t->len, t->size);
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->buf + at, t->size - at, fmt, ap);
	va_end(ap);
}

/* "  --name <name>": the characters. */
static int name_width(const struct arg *arg)
{
	return (int)strlen(arg->name) * (arg->value ? 2 : 1) + (arg->value ? 7 : 4);
}

static void add_group(struct text *t, const struct arg *table, unsigned n, bool required)
{
	int width = 0;

	for (unsigned i = 0; i < n; i++)
		if (table[i].required == required)
			width = MAX(width, name_width(&table[i]));
	if (!width)
		return;
	add(t, "%s%s arguments:", t->len ? "\n\n" : "", required ? "required" : "optional");
	for (unsigned i = 0; i < n; i++) {
		const struct arg *arg = &table[i];

		if (arg->required != required)
			continue;
		add(t, "\n  --%s", arg->name);
		if (arg->value)
			add(t, " <%s>", arg->name);
		add(t, "%*s   %s", width - name_width(arg), "", arg->help ? arg->help : "");
		if (arg->def)
			add(t, " [default: \"%s\"]", arg->def);
	}
}

size_t args_help(const struct arg *table, unsigned n, char *buf, size_t size)
{
	struct text t = {buf, size, 0};

	add_group(&t, table, n, true);
	add_group(&t, table, n, false);
	return t.len;
}

/* --- values --- */

bool args_number(const char *s, uint64_t max, uint64_t *val)
{
	uint64_t n = 0;

	s += *s == '+';
	if (!*s)
		return false;
	for (; *s; s++) {
		unsigned digit = (unsigned char)*s - '0';

		if (digit > 9 || n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*val = n;
	return true;
}

int args_id(const char *id, char *why, size_t len)
{
	size_t n = strlen(id);

	if (n < 1 || n > ID_MAX)
		return refuse(why, len, "Invalid len (%zu);  the length must be between 1 and %d",
			      n, ID_MAX);
	for (size_t i = 0; i < n; i++) {
		char c = id[i];

		if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') &&
		    c != '-')
			return refuse(why, len, "Invalid char (%c) at position %zu", c, i);
	}
	return 0;
}
