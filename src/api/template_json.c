/*
 * template_json.c - CPU templates as clients write them [vmm/src/cpu_config/templates.rs,
 * x86_64/custom_cpu_template.rs].
 */
#include "template_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"

static const char *const reg_names[] = {"eax", "ebx", "ecx", "edx", NULL};

/* --- strings --- */

/* The last sentence about a string, which names it. */
static char wrong[256];

/* "0x1f", "0b101": as Rust's from_str_radix() reads it. NULL, or what is wrong. */
static const char *read_u32(const char *s, uint32_t *val)
{
	unsigned base = !strncmp(s, "0x", 2) ? 16 : !strncmp(s, "0b", 2) ? 2 : 0;
	const char *p = s + 2, *kind = NULL;
	uint64_t n = 0;

	if (!base) {
		snprintf(wrong, sizeof(wrong),
			 "No supported number system prefix found in value [%.64s]. Make sure to "
			 "prefix the number with '0x' for hexadecimal numbers or '0b' for binary "
			 "numbers.",
			 s);
		return wrong;
	}
	p += *p == '+' && p[1];
	if (!*p)
		kind = "Empty";
	for (; *p && !kind; p++) {
		unsigned digit = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
				 : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10
				 : *p >= 'A' && *p <= 'F' ? (unsigned)(*p - 'A') + 10
							  : base;

		n = n * base + digit;
		if (digit >= base)
			kind = "InvalidDigit";
		else if (n > UINT32_MAX)
			kind = "PosOverflow";
	}
	if (kind) {
		snprintf(wrong, sizeof(wrong),
			 "Failed to parse string [%.64s] as a number for CPU template - "
			 "ParseIntError { kind: %s }",
			 s, kind);
		return wrong;
	}
	*val = (uint32_t)n;
	return NULL;
}

/* "0b01x": the last character is bit 0, x and what is missing before stay; '_' is nothing. */
static const char *read_bits(const char *s, unsigned width, struct template_bits *bits)
{
	const char *first = strncmp(s, "0b", 2) ? s : s + 2;
	unsigned bit = 0;

	*bits = (struct template_bits){0, 0};
	for (const char *p = first + strlen(first); p-- > first;) {
		if (bit == width) {
			snprintf(wrong, sizeof(wrong),
				 "Failed to parse string [%.80s] as a bitmap - string is too long",
				 s);
			return wrong;
		}
		if (*p == '_')
			continue;
		if (*p == '0' || *p == '1') {
			bits->mask |= BIT(bit);
			bits->value |= *p == '1' ? BIT(bit) : 0;
		} else if (*p != 'x') {
			snprintf(wrong, sizeof(wrong),
				 "Failed to parse string [%.80s] as a bitmap - unknown character: "
				 "%u",
				 s, (unsigned char)*p);
			return wrong;
		}
		bit++;
	}
	return NULL;
}

/* "121", "!121" */
static const char *read_cap(const char *s, struct template_cap *cap)
{
	const char *digits = s + (*s == '!'), *why = "invalid digit found in string";
	uint64_t n;

	if (args_number(digits, UINT32_MAX, &n)) {
		*cap = (struct template_cap){(uint32_t)n, *s == '!'};
		return NULL;
	}
	if (!*digits)
		why = "cannot parse integer from empty string";
	else if (!digits[strspn(digits, "0123456789")])
		why = "number too large to fit in target type";
	snprintf(wrong, sizeof(wrong),
		 "Failed to parse string [%.64s] as a kvm capability - can not convert to numeric: "
		 "%s",
		 s, why);
	return wrong;
}

static const char *check_u32(const char *s)
{
	uint32_t val;

	return read_u32(s, &val);
}

static const char *check_bits32(const char *s)
{
	struct template_bits bits;

	return read_bits(s, 32, &bits);
}

static const char *check_bits64(const char *s)
{
	struct template_bits bits;

	return read_bits(s, 64, &bits);
}

static const char *check_cap(const char *s)
{
	struct template_cap cap;

	return read_cap(s, &cap);
}

static const char *check_reg(const char *s)
{
	for (unsigned i = 0; reg_names[i]; i++)
		if (!strcmp(reg_names[i], s))
			return NULL;
	return "Invalid CPUID register. Must be one of [eax, ebx, ecx, edx]";
}

/* --- structures --- */

// clang-format off
static const struct json_field reg_field[] = {
	{"register", JSON_KIND_STRING, JSON_REQUIRED, .check = check_reg},
	{"bitmap", JSON_KIND_STRING, JSON_REQUIRED, .check = check_bits32},
};
static const struct json_table reg_table = {"CpuidRegisterModifier", true, ARRAY_SIZE(reg_field), reg_field};

static const struct json_field leaf_field[] = {
	{"leaf", JSON_KIND_STRING, JSON_REQUIRED, .check = check_u32},
	{"subleaf", JSON_KIND_STRING, JSON_REQUIRED, .check = check_u32},
	{"flags", JSON_KIND_U32, JSON_REQUIRED, .words = NULL},
	{"modifiers", JSON_KIND_LIST, JSON_REQUIRED, .sub = &reg_table},
};
static const struct json_table leaf_table = {"CpuidLeafModifier", true, ARRAY_SIZE(leaf_field), leaf_field};

static const struct json_field msr_field[] = {
	{"addr", JSON_KIND_STRING, JSON_REQUIRED, .check = check_u32},
	{"bitmap", JSON_KIND_STRING, JSON_REQUIRED, .check = check_bits64},
};
static const struct json_table msr_table = {"RegisterModifier", true, ARRAY_SIZE(msr_field), msr_field};

enum { CAPS, LEAVES, MSRS, FIELDS };
static const struct json_field field[FIELDS] = {
	[CAPS] = {"kvm_capabilities", JSON_KIND_STRINGS, JSON_DEFAULT, .check = check_cap},
	[LEAVES] = {"cpuid_modifiers", JSON_KIND_LIST, JSON_DEFAULT, .sub = &leaf_table},
	[MSRS] = {"msr_modifiers", JSON_KIND_LIST, JSON_DEFAULT, .sub = &msr_table},
};
static const struct json_table table = {"CustomCpuTemplate", false, FIELDS, field};
// clang-format on

/* Of a value that was checked. */
static const char *text(const json_t *v, const char *name)
{
	return json_string_value(json_object_get(v, name));
}

static void take_leaf(struct template_leaf *l, const json_t *v)
{
	const json_t *modifiers = json_object_get(v, "modifiers");

	read_u32(text(v, "leaf"), &l->leaf);
	read_u32(text(v, "subleaf"), &l->subleaf);
	l->flags = (uint32_t)json_u64(json_object_get(v, "flags"), 0);
	for (size_t i = 0; i < json_array_size(modifiers); i++) {
		const json_t *m = json_array_get(modifiers, i);
		struct template_bits bits;
		unsigned reg = 0;

		while (strcmp(reg_names[reg], text(m, "register")))
			reg++;
		read_bits(text(m, "bitmap"), 32, &bits);
		template_merge(&l->reg[reg], bits);
	}
}

static void take_msr(struct cpu_template *t, const json_t *v)
{
	struct template_bits bits;
	unsigned i = 0;
	uint32_t index = 0;

	read_u32(text(v, "addr"), &index);
	read_bits(text(v, "bitmap"), 64, &bits);
	while (i < t->msrs && t->msr[i].index != index)
		i++;
	if (i == t->msrs)
		t->msr[t->msrs++] = (struct template_msr){.index = index};
	template_merge(&t->msr[i].bits, bits);
}

/* Room for n, and for one of none. */
static struct cpu_template *room(size_t leaves, size_t msrs, size_t caps)
{
	struct cpu_template *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->leaf = calloc(leaves + 1, sizeof(*t->leaf));
	t->msr = calloc(msrs + 1, sizeof(*t->msr));
	t->cap = calloc(caps + 1, sizeof(*t->cap));
	if (t->leaf && t->msr && t->cap)
		return t;
	cpu_template_free(t);
	return NULL;
}

int cpu_template_parse(const json_t *v, struct cpu_template **out, char *why, size_t len)
{
	struct json_doc d = {.text = ""}; /* whose text is not ours: no places are told */
	const json_t *got[FIELDS];
	struct cpu_template *t;
	char *place;

	if (json_fields(&d, v, &table, got)) {
		place = strstr(d.why, " at line ");
		snprintf(why, len, "%.*s", place ? (int)(place - d.why) : (int)strlen(d.why),
			 d.why);
		return -EINVAL;
	}
	t = room(json_array_size(got[LEAVES]), json_array_size(got[MSRS]),
		 json_array_size(got[CAPS]));
	if (!t) {
		snprintf(why, len, "no memory for the CPU template");
		return -ENOMEM;
	}
	for (size_t i = 0; i < json_array_size(got[LEAVES]); i++)
		take_leaf(&t->leaf[t->leaves++], json_array_get(got[LEAVES], i));
	for (size_t i = 0; i < json_array_size(got[MSRS]); i++)
		take_msr(t, json_array_get(got[MSRS], i));
	for (size_t i = 0; i < json_array_size(got[CAPS]); i++)
		read_cap(json_string_value(json_array_get(got[CAPS], i)), &t->cap[t->caps++]);
	*out = t;
	return 0;
}

void cpu_template_free(struct cpu_template *t)
{
	if (!t)
		return;
	free(t->leaf);
	free(t->msr);
	free(t->cap);
	free(t);
}

/* --- and back --- */

static void put_bits(struct json_out *o, const struct template_bits *b, unsigned width)
{
	char bits[65];

	for (unsigned i = 0; i < width; i++)
		bits[width - 1 - i] = !(b->mask & BIT(i)) ? 'x' : b->value & BIT(i) ? '1' : '0';
	bits[width] = '\0';
	json_put(o, "\"bitmap\":\"0b%s\"}", bits);
}

static void put_leaf(struct json_out *o, const struct template_leaf *l)
{
	const char *comma = "";

	json_put(o, "{\"leaf\":\"%#x\",\"subleaf\":\"%#x\",\"flags\":%u,\"modifiers\":[", l->leaf,
		 l->subleaf, l->flags);
	for (unsigned i = 0; i < TEMPLATE_REGS; i++) {
		if (!l->reg[i].mask)
			continue;
		json_put(o, "%s{\"register\":\"%s\",", comma, reg_names[i]);
		put_bits(o, &l->reg[i], 32);
		comma = ",";
	}
	json_put(o, "]}");
}

void cpu_template_put(struct json_out *o, const struct cpu_template *t)
{
	json_put(o, "{\"kvm_capabilities\":[");
	for (unsigned i = 0; i < t->caps; i++)
		json_put(o, "%s\"%s%u\"", i ? "," : "", t->cap[i].remove ? "!" : "", t->cap[i].cap);
	json_put(o, "],\"cpuid_modifiers\":[");
	for (unsigned i = 0; i < t->leaves; i++) {
		json_put(o, "%s", i ? "," : "");
		put_leaf(o, &t->leaf[i]);
	}
	json_put(o, "],\"msr_modifiers\":[");
	for (unsigned i = 0; i < t->msrs; i++) {
		json_put(o, "%s{\"addr\":\"%#x\",", i ? "," : "", t->msr[i].index);
		put_bits(o, &t->msr[i].bits, 64);
	}
	json_put(o, "]}");
}
