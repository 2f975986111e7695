/* template_json_test.c - CPU templates as clients write them, and the sentence for each mistake. */
#include "../../../src/api/template_json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cpu_template *t;
static char why[512];

static int parse(const char *text)
{
	json_error_t error;
	json_t *v = json_loads(text, 0, &error);
	int err;

	if (!v)
		fail_msg("%s: %s", text, error.text);
	t = NULL;
	why[0] = '\0';
	err = cpu_template_parse(v, &t, why, sizeof(why));
	json_decref(v);
	return err;
}

static void refused(const char *text, const char *sentence)
{
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(why, sentence);
	assert_null(t);
}

#define BITS64 "1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0"
_Static_assert(sizeof(BITS64) == 65, "64 bits");

static void all_that_a_template_says_is_taken(void **state)
{
	assert_int_equal(
		parse("{\"kvm_capabilities\":[\"!56\",\"171\"],\"cpuid_modifiers\":[{"
		      "\"leaf\":\"0x80000001\",\"subleaf\":\"0b11\",\"flags\":1,\"modifiers\":["
		      "{\"register\":\"ebx\",\"bitmap\":\"0b01x_1\"},"
		      "{\"register\":\"edx\",\"bitmap\":\"0\",\"more\":1},"
		      "{\"register\":\"ebx\",\"bitmap\":\"0bx0xx\"}]},"
		      "{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":0,\"modifiers\":[]}],"
		      "\"msr_modifiers\":[{\"addr\":\"0x10A\",\"bitmap\":\"" BITS64 "\"},"
		      "{\"addr\":\"0x1\",\"bitmap\":\"\"},{\"addr\":\"0x10a\",\"bitmap\":\"1\"}]}"),
		0);
	assert_int_equal(t->caps, 2);
	assert_int_equal(t->cap[0].cap, 56);
	assert_true(t->cap[0].remove);
	assert_int_equal(t->cap[1].cap, 171);
	assert_false(t->cap[1].remove);
	assert_int_equal(t->leaves, 2);
	assert_int_equal(t->leaf[0].leaf, 0x80000001);
	assert_int_equal(t->leaf[0].subleaf, 3);
	assert_int_equal(t->leaf[0].flags, 1);
	assert_int_equal(t->leaf[0].reg[TEMPLATE_EBX].mask, 0xd);
	assert_int_equal(t->leaf[0].reg[TEMPLATE_EBX].value, 0x1);
	assert_int_equal(t->leaf[0].reg[TEMPLATE_EDX].mask, 1);
	assert_int_equal(t->leaf[0].reg[TEMPLATE_EDX].value, 0);
	assert_int_equal(t->leaf[0].reg[TEMPLATE_EAX].mask, 0);
	assert_int_equal(t->leaf[1].leaf, 1);
	assert_int_equal(t->msrs, 2);
	assert_int_equal(t->msr[0].index, 0x10a);
	assert_true(t->msr[0].bits.mask == (1ull << 63 | 1));
	assert_true(t->msr[0].bits.value == (1ull << 63 | 1));
	assert_int_equal(t->msr[1].index, 1);
	assert_int_equal(t->msr[1].bits.mask, 0);
	cpu_template_free(t);
}

static void an_empty_template_changes_nothing(void **state)
{
	assert_int_equal(parse("{}"), 0);
	assert_int_equal(t->leaves + t->msrs + t->caps, 0);
	cpu_template_free(t);
	cpu_template_free(NULL);
}

static void fields_are_firecrackers(void **state)
{
	refused("[]", "invalid type: sequence, expected struct CustomCpuTemplate");
	refused("{\"reg_modifiers\":[]}",
		"unknown field `reg_modifiers`, expected one of `kvm_capabilities`, "
		"`cpuid_modifiers`, `msr_modifiers`");
	refused("{\"msr_modifiers\":null}", "invalid type: null, expected a sequence");
	refused("{\"msr_modifiers\":[{\"addr\":\"0x1\"}]}", "missing field `bitmap`");
	refused("{\"msr_modifiers\":[{\"addr\":1,\"bitmap\":\"1\"}]}",
		"invalid type: integer `1`, expected a string");
	refused("{\"cpuid_modifiers\":[{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":4294967296,"
		"\"modifiers\":[]}]}",
		"invalid value: integer `4294967296`, expected u32");
	refused("{\"cpuid_modifiers\":[{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":0,"
		"\"modifiers\":[{\"register\":\"EAX\",\"bitmap\":\"1\"}]}]}",
		"Invalid CPUID register. Must be one of [eax, ebx, ecx, edx]");
}

#define MSR(addr, bitmap) "{\"msr_modifiers\":[{\"addr\":\"" addr "\",\"bitmap\":\"" bitmap "\"}]}"
#define CAP(s)            "{\"kvm_capabilities\":[\"" s "\"]}"

static void strings_have_sentences_of_their_own(void **state)
{
	refused(MSR("10", "1"),
		"No supported number system prefix found in value [10]. Make sure to prefix the "
		"number with '0x' for hexadecimal numbers or '0b' for binary numbers.");
	refused(MSR("0x", "1"), "Failed to parse string [0x] as a number for CPU template - "
				"ParseIntError { kind: Empty }");
	refused(MSR("0x1g", "1"), "Failed to parse string [0x1g] as a number for CPU template - "
				  "ParseIntError { kind: InvalidDigit }");
	refused(MSR("0b2", "1"), "Failed to parse string [0b2] as a number for CPU template - "
				 "ParseIntError { kind: InvalidDigit }");
	refused(MSR("0x100000000", "1"),
		"Failed to parse string [0x100000000] as a number for CPU template - "
		"ParseIntError { kind: PosOverflow }");
	refused(MSR("0x1", "0b12"), "Failed to parse string [0b12] as a bitmap - unknown "
				    "character: 50");
	refused(MSR("0x1", "x" BITS64),
		"Failed to parse string [x" BITS64 "] as a bitmap - string is too long");
	refused("{\"cpuid_modifiers\":[{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":0,"
		"\"modifiers\":[{\"register\":\"eax\",\"bitmap\":"
		"\"111111111111111111111111111111111\"}]}]}",
		"Failed to parse string [111111111111111111111111111111111] as a bitmap - string "
		"is "
		"too long");
#define NO_CAP "as a kvm capability - can not convert to numeric: "
	refused(CAP("x"), "Failed to parse string [x] " NO_CAP "invalid digit found in string");
	refused(CAP("!"),
		"Failed to parse string [!] " NO_CAP "cannot parse integer from empty string");
	refused(CAP("4294967296"), "Failed to parse string [4294967296] " NO_CAP
				   "number too large to fit in target type");
}

static void a_template_is_told_as_it_was_given(void **state)
{
	static const char want[] =
		"{\"kvm_capabilities\":[\"!56\",\"171\"],\"cpuid_modifiers\":[{\"leaf\":\"0x7\","
		"\"subleaf\":\"0x1\",\"flags\":1,\"modifiers\":[{\"register\":\"eax\",\"bitmap\":"
		"\"0bxxxxxxxxxxxxxxxxxxxxxxxxxxxxx01x\"},{\"register\":\"edx\",\"bitmap\":"
		"\"0b1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}]},{\"leaf\":\"0x1\",\"subleaf\":\"0x2\","
		"\"flags\":0,\"modifiers\":[]}],\"msr_modifiers\":[{\"addr\":\"0x10a\",\"bitmap\":"
		"\"0b" BITS64 "\"},{\"addr\":\"0x1\",\"bitmap\":\"0b" BITS64 "\"}]}";
	struct json_out o = {0};

	assert_int_equal(parse(want), 0);
	cpu_template_put(&o, t);
	assert_string_equal(o.p, want);
	free(o.p);
	cpu_template_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_a_template_says_is_taken),
		cmocka_unit_test(an_empty_template_changes_nothing),
		cmocka_unit_test(fields_are_firecrackers),
		cmocka_unit_test(strings_have_sentences_of_their_own),
		cmocka_unit_test(a_template_is_told_as_it_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
