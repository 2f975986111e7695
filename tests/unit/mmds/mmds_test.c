/* mmds_test.c - the metadata service put together: what the operator asks for, and one guest's
 * frame through a detour. */
#include "../../../src/mmds/mmds.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../src/mmds/frame.h"
#include "../../../src/mmds/stack.h"
#include "../said.h"

static struct mmds m;
static struct mmds_nic nic;
static bool no_random;

ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
	if (!no_random)
		return syscall(SYS_getrandom, buf, len, flags);
	errno = ENOSYS;
	return -1;
}

static int setup(void **state)
{
	no_random = false;
	assert_int_equal(mmds_init(&m, MMDS_LIMIT), 0);
	return 0;
}

static int teardown(void **state)
{
	mmds_nic_close(&nic);
	mmds_finish(&m);
	return 0;
}

static json_t *json(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(v);
	return v;
}

static void holds(const char *want)
{
	size_t len;
	char *text = mmds_get(&m, &len);

	assert_string_equal(text, want);
	assert_int_equal(len, strlen(want));
	free(text);
}

static void it_is_empty_at_first(void **state)
{
	static const uint8_t ip[4] = {169, 254, 169, 254};

	holds("{}");
	assert_int_equal(m.version, MMDS_V1);
	assert_false(m.imds_compat);
	assert_memory_equal(m.ip, ip, 4);
}

static void what_is_put_is_got(void **state)
{
	json_t *v = json("{\"b\":[1,2.5],\"a\":{}}"), *p = json("{\"b\":null,\"c\":\"d\"}");

	assert_int_equal(mmds_patch(&m, p), MMDS_NOT_INITIALIZED);
	assert_int_equal(mmds_put(&m, v), MMDS_OK);
	holds("{\"a\":{},\"b\":[1,2.5]}");
	assert_int_equal(mmds_patch(&m, p), MMDS_OK);
	holds("{\"a\":{},\"c\":\"d\"}");
	json_decref(v);
	v = json("null");
	assert_int_equal(mmds_put(&m, v), MMDS_OK);
	holds("{}");
	json_decref(v);
	json_decref(p);
}

static void faults_have_firecrackers_words(void **state)
{
	assert_string_equal(mmds_fault(MMDS_TOO_LARGE),
			    "MMDS limit exceeded error: The MMDS patch request doesn't fit.");
	assert_string_equal(mmds_fault(MMDS_NOT_INITIALIZED),
			    "MMDS error: The MMDS data store is not initialized.");
	assert_non_null(strstr(mmds_fault(MMDS_TOO_DEEP), "recursion limit exceeded"));
	assert_non_null(strstr(mmds_fault(MMDS_NO_MEMORY), "memory"));
	assert_string_equal(mmds_fault(MMDS_OK), "");
}

static void addresses_are_link_local(void **state)
{
	static const struct {
		uint8_t ip[4];
		bool good;
	} t[] = {
		{{169, 254, 1, 0},     true },
                {{169, 254, 254, 255}, true },
		{{169, 254, 0, 10},    false},
                {{169, 254, 255, 1},   false},
		{{169, 253, 1, 1},     false},
                {{168, 254, 1, 1},     false},
		{{192, 168, 1, 1},     false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		assert_int_equal(mmds_ip_good(t[i].ip), t[i].good);
		assert_int_equal(mmds_configure(&m, MMDS_V2, t[i].ip, true), t[i].good);
		if (t[i].good)
			assert_memory_equal(m.ip, t[i].ip, 4);
	}
	assert_int_equal(m.ip[3], 255); /* the last good one */
	assert_int_equal(m.version, MMDS_V2);
	assert_true(m.imds_compat);
	assert_true(mmds_configure(&m, MMDS_V1, NULL, false));
	assert_int_equal(m.ip[3], 254);
	assert_int_equal(m.version, MMDS_V1);
	assert_false(m.imds_compat);
}

/* ARP through the detour, at the address that was configured. */
static void an_interface_has_the_address(void **state)
{
	static const uint8_t ip[4] = {169, 254, 7, 8}, mac[6] = {6, 1, 0x23, 0x45, 0x67, 1};
	const struct net_detour *d = &nic.detour;
	uint8_t frame[42] = {0}, reply[1514];
	struct arp a = {
		.hw = htons(ARP_ETHERNET),
		.proto = htons(ETH_IP),
		.hw_len = 6,
		.proto_len = 4,
		.op = htons(ARP_REQUEST),
	};

	assert_true(mmds_configure(&m, MMDS_V1, ip, false));
	assert_int_equal(mmds_nic_open(&nic, &m), 0);
	assert_memory_equal(d->ip, ip, 4);
	memcpy(a.to_ip, ip, 4);
	frame[12] = 8;
	frame[13] = 6;
	memcpy(frame + 14, &a, sizeof(a));
	assert_true(d->take(d->ctx, frame, sizeof(frame), NSEC));
	assert_int_equal(d->deadline(d->ctx, NSEC), NEVER);
	assert_int_equal(d->give(d->ctx, reply, sizeof(reply), NSEC), 42);
	assert_memory_equal(reply + 6, mac, 6);
	assert_memory_equal(reply + 22, mac, 6);
	assert_int_equal(d->give(d->ctx, reply, sizeof(reply), NSEC), 0);
	frame[41]++;
	assert_false(d->take(d->ctx, frame, sizeof(frame), NSEC));
	assert_int_equal(m.counters.rx_accepted, 1);
	assert_int_equal(m.counters.tx_bytes, 42);
}

static void interfaces_share_the_store_and_nothing_else(void **state)
{
	struct mmds_nic other;

	assert_int_equal(mmds_nic_open(&nic, &m), 0);
	assert_int_equal(mmds_nic_open(&other, &m), 0);
	assert_ptr_not_equal(nic.stack, other.stack);
	assert_memory_not_equal(nic.stack->key, other.stack->key, 16);
	assert_ptr_equal(nic.stack->user.ctx, other.stack->user.ctx);
	mmds_nic_close(&other);
	assert_null(other.stack);
	mmds_nic_close(&other);
}

static void what_cannot_be_had_is_said(void **state)
{
	assert_int_equal(mmds_init(&m, SIZE_MAX), 0);
	assert_int_equal(m.store.limit, GIB); /* thirty of which may still be mapped */
	m.store.limit = (size_t)1 << 45;
	assert_int_equal(mmds_nic_open(&nic, &m), -ENOMEM);
	assert_non_null(strstr(said, "smaller limit"));
	assert_null(nic.stack);
	m.store.limit = MMDS_LIMIT;
	no_random = true;
	assert_int_equal(mmds_nic_open(&nic, &m), -EIO);
	assert_null(nic.stack);
	assert_int_equal(mmds_init(&m, 1), -ENOSYS);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_empty_at_first),           T(what_is_put_is_got),
		T(faults_have_firecrackers_words), T(addresses_are_link_local),
		T(an_interface_has_the_address),   T(interfaces_share_the_store_and_nothing_else),
		T(what_cannot_be_had_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
