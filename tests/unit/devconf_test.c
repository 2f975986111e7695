/* devconf_test.c - the device options: what each key means, and what a mistake is answered. */
#include "../../src/devconf.h"

#include <errno.h>

#include "said.h"

static struct devices_conf c;

/* The value as main() gets it: memory that may be written to, and that outlives the call. */
static char *word(const char *text)
{
	static char room[64][128];
	static unsigned n;
	char *copy = room[n++ % ARRAY_SIZE(room)];

	snprintf(copy, sizeof(room[0]), "%s", text);
	said_lines = 0;
	return copy;
}

static int fresh(void **state)
{
	c = (struct devices_conf){0};
	return 0;
}

static void a_disk_is_a_path_and_keys(void **state)
{
	assert_int_equal(devconf_disk(&c, word("a.img")), 0);
	assert_int_equal(devconf_disk(&c, word("b.img,ro,cache=unsafe,queues=4,id=serial-1,bps=10M,"
					       "iops=500")),
			 0);
	assert_int_equal(c.disks, 2);
	assert_string_equal(c.disk[0].path, "a.img");
	assert_false(c.disk[0].readonly);
	assert_int_equal(c.disk[0].cache, BLK_CACHE_WRITEBACK);
	assert_string_equal(c.disk[0].id, "");
	assert_int_equal(c.disk[0].bytes.size, 0);
	assert_string_equal(c.disk[1].path, "b.img");
	assert_true(c.disk[1].readonly);
	assert_int_equal(c.disk[1].cache, BLK_CACHE_UNSAFE);
	assert_int_equal(c.disk[1].queues, 4);
	assert_string_equal(c.disk[1].id, "serial-1");
	assert_int_equal(c.disk[1].bytes.size, 10 * MIB);
	assert_int_equal(c.disk[1].bytes.refill_ms, 1000);
	assert_int_equal(c.disk[1].ops.size, 500);
	assert_int_equal(said_lines, 0);
}

static void a_disk_has_a_queue_a_vcpu_up_to_a_limit(void **state)
{
	assert_int_equal(devconf_disk(&c, word("a")), 0);
	assert_int_equal(devconf_disk(&c, word("b,queues=2")), 0);
	assert_int_equal(devconf_check(&c, 32), 0);
	assert_int_equal(c.disk[0].queues, BLK_QUEUES_MAX);
	assert_int_equal(c.disk[1].queues, 2);
	c.disk[0].queues = 0;
	assert_int_equal(devconf_check(&c, 1), 0);
	assert_int_equal(c.disk[0].queues, 1);
}

static void mistakes_in_a_disk_are_named(void **state)
{
	static const struct {
		const char *val, *part;
	} bad[] = {
		{"",			    "name is empty"                        },
		{",ro",			 "name is empty"                        },
		{"d,rw",                        "unknown key rw; there are: ro, cache="},
		{"d,",			  "unknown key ;"                        },
		{"d,ro=1",                      "ro takes no value"                    },
		{"d,cache",                     "cache takes a value"                  },
		{"d,cache=none",                "give writeback or unsafe"             },
		{"d,queues=0",                  "from 1 to 8"                          },
		{"d,queues=9",                  "from 1 to 8"                          },
		{"d,queues=-1",                 "from 1 to 8"                          },
		{"d,queues=1x",                 "from 1 to 8"                          },
		{"d,bps=0",                     "bps=0"                                },
		{"d,bps=99999999999999999999",  "bps="                                 },
		{"d,bps=18446744073709551615K", "bps="                                 },
		{"d,id=123456789012345678901",  "at most 20 characters"                },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		c.disks = 0;
		assert_fails(devconf_disk(&c, word(bad[i].val)), EINVAL, bad[i].part);
	}
}

static void there_is_an_end_to_disks_and_networks(void **state)
{
	for (unsigned i = 0; i < DISKS_MAX; i++)
		assert_int_equal(devconf_disk(&c, word("d")), 0);
	assert_fails(devconf_disk(&c, word("d")), EINVAL, "at most 16 disks");
	for (unsigned i = 0; i < NETS_MAX; i++)
		assert_int_equal(devconf_net(&c, word("fd=5")), 0);
	assert_fails(devconf_net(&c, word("t")), EINVAL, "at most 8 networks");
	assert_int_equal(devconf_count(&c), DISKS_MAX + NETS_MAX);
}

static void a_network_is_a_tap_and_keys(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0xaa, 0xbb, 0xcc};

	assert_int_equal(devconf_net(&c, word("tap0")), 0);
	assert_int_equal(devconf_net(&c, word("tap1,mac=02:00:00:aa:BB:cc,mtu=9000,queues=2,"
					      "offload=off,rx-bps=1G,tx-bps=64K")),
			 0);
	assert_string_equal(c.net[0].tap, "tap0");
	assert_int_equal(c.net[0].fd, -1);
	assert_int_equal(c.net[0].pairs, 1);
	assert_false(c.net[0].has_mac);
	assert_true(c.net[0].offload);
	assert_true(c.net[1].has_mac);
	assert_memory_equal(c.net[1].mac, mac, sizeof(mac));
	assert_int_equal(c.net[1].mtu, 9000);
	assert_int_equal(c.net[1].pairs, 2);
	assert_false(c.net[1].offload);
	assert_int_equal(c.net[1].rx_bytes.size, GIB);
	assert_int_equal(c.net[1].tx_bytes.size, 64 * KIB);
	assert_int_equal(devconf_check(&c, 1), 0);
}

static void a_network_may_be_a_passed_descriptor(void **state)
{
	assert_int_equal(devconf_net(&c, word("fd=7,mtu=1500")), 0);
	assert_null(c.net[0].tap);
	assert_int_equal(c.net[0].fd, 7);
}

static void mistakes_in_a_network_are_named(void **state)
{
	static const struct {
		const char *val, *part;
	} bad[] = {
		{"",			   "name is empty"     },
		{"t,mac=01:00:00:00:00:01",    "unicast"           },
		{"t,mac=00:00:00:00:00:00",    "unicast"           },
		{"t,mac=02:00:00:00:00",       "unicast"           },
		{"t,mac=02:00:00:00:00:01:02", "unicast"           },
		{"t,mac=2:0:0:0:0:1",          "unicast"           },
		{"t,mac=0x:00:00:00:00:01",    "unicast"           },
		{"t,mac=",                     "unicast"           },
		{"t,mac=02-00-00-00-00-01",    "unicast"           },
		{"t,mac=02:00:00:00:00:0",     "unicast"           },
		{"t,mtu=67",                   "from 68 to 65535"  },
		{"t,queues=9",                 "from 1 to 8"       },
		{"t,offload=maybe",            "give on or off"    },
		{"t,speed=10",                 "unknown key speed" },
		{"fd=",			"an open descriptor"},
		{"fd=-1",                      "an open descriptor"},
		{"fd=3x",                      "an open descriptor"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		c.nets = 0;
		assert_fails(devconf_net(&c, word(bad[i].val)), EINVAL, bad[i].part);
	}
}

static void vhost_and_a_limit_exclude_each_other(void **state)
{
	assert_int_equal(devconf_net(&c, word("tap0,vhost")), 0);
	assert_true(c.net[0].vhost);
	assert_int_equal(devconf_check(&c, 1), 0);
	assert_int_equal(devconf_net(&c, word("tap1,vhost,tx-bps=1M")), 0);
	assert_fails(devconf_check(&c, 1), EINVAL, "past any limit");
}

static void one_tap_serves_one_network(void **state)
{
	assert_int_equal(devconf_net(&c, word("tap0")), 0);
	assert_int_equal(devconf_net(&c, word("tap0")), 0);
	assert_fails(devconf_check(&c, 1), EINVAL, "tap0 is given twice");
}

static void a_vsock_has_the_first_free_cid(void **state)
{
	assert_int_equal(devconf_vsock(&c, word("v.sock")), 0);
	assert_string_equal(c.vsock_conf.path, "v.sock");
	assert_int_equal(c.vsock_conf.cid, 3);
	assert_int_equal(devconf_vsock(&c, word("v.sock,cid=77")), 0);
	assert_int_equal(c.vsock_conf.cid, 77);
	assert_fails(devconf_vsock(&c, word("v,cid=2")), EINVAL, "from 3 to");
	assert_fails(devconf_vsock(&c, word("v,cid=4294967295")), EINVAL, "from 3 to");
	assert_int_equal(devconf_count(&c), 1);
}

static void a_balloon_has_a_size_and_keys(void **state)
{
	assert_int_equal(devconf_balloon(&c, word("64,deflate-on-oom,reporting,stats=5")), 0);
	assert_int_equal(c.balloon_conf.target_mib, 64);
	assert_true(c.balloon_conf.deflate_on_oom);
	assert_true(c.balloon_conf.reporting);
	assert_int_equal(c.balloon_conf.stats_interval_s, 5);
	assert_fails(devconf_balloon(&c, word("much")), EINVAL, "give a number");
	assert_fails(devconf_balloon(&c, word("1,stats=0")), EINVAL, "from 1 to");
}

static void words_for_the_kernel_end_where_those_for_init_begin(void **state)
{
	static const struct {
		const char *cmdline;
		size_t end;
	} row[] = {
		{"",                    0 },
		{"a b",                 3 },
		{"a -- b",              1 },
		{"a --",                1 },
		{"-- b",                0 },
		{"a --b -- c",          5 },
		{"a x=\" -- \" b -- c", 12},
		{"a-- b",               5 },
		{"a  -- b",             2 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++)
		assert_int_equal(devconf_kernel_words(row[i].cmdline), row[i].end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(words_for_the_kernel_end_where_those_for_init_begin, fresh),
		cmocka_unit_test_setup(a_disk_is_a_path_and_keys, fresh),
		cmocka_unit_test_setup(a_disk_has_a_queue_a_vcpu_up_to_a_limit, fresh),
		cmocka_unit_test_setup(mistakes_in_a_disk_are_named, fresh),
		cmocka_unit_test_setup(there_is_an_end_to_disks_and_networks, fresh),
		cmocka_unit_test_setup(a_network_is_a_tap_and_keys, fresh),
		cmocka_unit_test_setup(a_network_may_be_a_passed_descriptor, fresh),
		cmocka_unit_test_setup(mistakes_in_a_network_are_named, fresh),
		cmocka_unit_test_setup(vhost_and_a_limit_exclude_each_other, fresh),
		cmocka_unit_test_setup(one_tap_serves_one_network, fresh),
		cmocka_unit_test_setup(a_vsock_has_the_first_free_cid, fresh),
		cmocka_unit_test_setup(a_balloon_has_a_size_and_keys, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
