/* tap_test.c - opening a tap, what is said when it cannot be had, and what it is told later. */
#include "../../../src/virtio/tap.h"

#include "../../lib/tun.h"
#include "../said.h"

static struct tap t;

static int setup(void **state)
{
	tun_reset();
	said_lines = 0;
	memset(&t, 0x55, sizeof(t));
	return 0;
}

/* Descriptors beyond those of before: what an opened tap that failed has left behind. */
static int descriptors(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void a_tap_is_opened_with_its_header_and_never_blocks(void **state)
{
	assert_int_equal(tap_open(&t, "tap7", -1, 1), 0);
	assert_int_equal(tun.queues, 1);
	assert_string_equal(tun.queue[0].name, "tap7");
	assert_int_equal(tun.queue[0].flags, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	assert_int_equal(tun.hdr_len, 12);
	assert_true(fcntl(t.fd[0], F_GETFL) & O_NONBLOCK);
	assert_string_equal(t.name, "tap7");
	tap_close(&t);
	assert_int_equal(t.fd[0], -1);
}

static void what_a_user_before_set_does_not_stay(void **state)
{
	tun.offload = 1;
	assert_int_equal(tap_open(&t, "tap0", -1, 1), 0);
	assert_int_equal(tun.offload, 0x67);
	assert_int_equal(tun.offloads, 1); /* a call that the whole host's network waits for */
	assert_true(t.uso);
	tap_close(&t);
}

static void a_kernel_without_uso_is_found_out(void **state)
{
	tun.offload = 1;
	tun.no_uso = true;
	assert_int_equal(tap_open(&t, "tap0", -1, 1), 0);
	assert_false(t.uso);
	assert_int_equal(tun.offload, 7);
	assert_int_equal(said_lines, 0);
	assert_int_equal(tap_offload(&t, 7), 0); /* it is known to be so */
	assert_int_equal(tun.offloads, 2);
	tap_close(&t);
}

static void the_same_offloads_are_told_once(void **state)
{
	unsigned before;

	assert_int_equal(tap_open(&t, "tap0", -1, 1), 0);
	before = tun.offloads;
	assert_int_equal(tap_offload(&t, TAP_F_CSUM | TAP_F_TSO4), 0);
	assert_int_equal(tap_offload(&t, TAP_F_CSUM | TAP_F_TSO4), 0);
	assert_int_equal(tun.offload, 3);
	assert_int_equal(tun.offloads - before, 1);
	tun.offload_err = ENOMEM;
	assert_int_equal(tap_offload(&t, 0), -ENOMEM);
	tun.offload_err = 0;
	assert_int_equal(tap_offload(&t, 0), 0); /* the failure was not taken for done */
	assert_int_equal(tun.offload, 0);
	tap_close(&t);
}

static void several_pairs_begin_with_one_on(void **state)
{
	assert_int_equal(tap_open(&t, "tap0", -1, 4), 0);
	assert_int_equal(tun.queues, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(tun.queue[i].flags,
				 IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
		assert_int_equal(tun.queue[i].on, i == 0);
		assert_int_equal(t.fd[i], tun.queue[i].fd);
	}
	assert_int_equal(t.on, 1);
	tap_close(&t);
}

static void pairs_are_turned_on_and_off_in_order(void **state)
{
	assert_int_equal(tap_open(&t, "tap0", -1, 4), 0);
	assert_int_equal(tap_turn_on(&t, 3), 0);
	assert_true(tun.queue[0].on && tun.queue[1].on && tun.queue[2].on && !tun.queue[3].on);
	tun.switches = 0;
	assert_int_equal(tap_turn_on(&t, 3), 0);
	assert_int_equal(tun.switches, 0);
	tun.queue_err = EINVAL;
	assert_int_equal(tap_turn_on(&t, 4), -EINVAL);
	assert_int_equal(tap_turn_on(&t, 1), -EINVAL);
	assert_int_equal(t.on, 3);
	tun.queue_err = 0;
	assert_int_equal(tap_turn_on(&t, 1), 0);
	assert_true(tun.queue[0].on && !tun.queue[1].on && !tun.queue[2].on);
	tap_close(&t);
}

static void a_passed_descriptor_is_taken_as_it_is(void **state)
{
	int fd = tun_pair();

	fcntl(fd, F_SETFL, 0);
	tun.getiff_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	assert_int_equal(tap_open(&t, NULL, fd, 1), 0);
	assert_int_equal(t.fd[0], fd);
	assert_string_equal(t.name, "passed0");
	assert_int_equal(tun.hdr_len, 12);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void a_duplicate_that_cannot_serve_is_closed(void **state)
{
	int fd = tun_pair(), before = descriptors();

	tun.getiff_flags = IFF_TAP | IFF_NO_PI;
	assert_fails(tap_open(&t, "tap0", fd, 1), EINVAL, "IFF_VNET_HDR");
	tun.getiff_err = EBADFD; /* the interface was removed */
	assert_fails(tap_open(&t, "tap0", fd, 1), EBADFD, "is no tap");
	assert_int_equal(descriptors(), before);
	assert_true(fcntl(fd, F_GETFL) >= 0);
}

static void a_passed_descriptor_of_another_kind_is_refused_and_stays_open(void **state)
{
	static const short flags[] = {IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, IFF_TAP | IFF_VNET_HDR,
				      IFF_TAP | IFF_NO_PI};
	int fd = tun_pair();

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		tun.getiff_flags = flags[i];
		assert_fails(tap_open(&t, NULL, fd, 1), EINVAL, "IFF_VNET_HDR");
	}
	tun.getiff_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	tun.hdr_err = EFAULT;
	assert_fails(tap_open(&t, NULL, fd, 1), EFAULT, "passed0");
	tun.getiff_err = EBADFD;
	assert_fails(tap_open(&t, NULL, fd, 1), EBADFD, "is no tap");
	assert_true(fcntl(fd, F_GETFL) >= 0);
	assert_fails(tap_open(&t, NULL, 999, 1), EBADF, "descriptor 999");
}

static void names_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "tap%d", "a/b", "a b", "eth0:", "tap\n0", "sixteen_letters_"};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(tap_open(&t, bad[i], -1, 1), EINVAL, "1 to 15 characters");
	assert_int_equal(tun.queues, 0);
	assert_int_equal(tap_open(&t, "fifteen_letters", -1, 1), 0);
	assert_string_equal(tun.queue[0].name, "fifteen_letters");
	tap_close(&t);
}

static void only_possible_numbers_of_pairs_are_taken(void **state)
{
	assert_fails(tap_open(&t, "tap0", -1, 0), EINVAL, "0 pairs");
	assert_fails(tap_open(&t, "tap0", -1, 9), EINVAL, "1 to 8");
	assert_fails(tap_open(&t, NULL, 3, 2), EINVAL, "1 to 1");
}

static void what_is_missing_is_said(void **state)
{
	static const struct {
		int open_err, iff_err;
		bool exists;
		unsigned pairs;
		const char *part;
	} row[] = {
		{ENOENT, 0,      true,  1, "modprobe tun"                           },
		{ENODEV, 0,      true,  1, "modprobe tun"                           },
		{EACCES, 0,      true,  1, "access to it"                           },
		{EPERM,  0,      true,  1, "access to it"                           },
		{0,      EPERM,  true,  1, "not this user's"                        },
		{0,      EPERM,  true,  1, "ip tuntap add tap9 mode tap user "      },
		{0,      EPERM,  true,  1, "CAP_NET_ADMIN"                          },
		{0,      EPERM,  false, 1, "there is no such tap"                   },
		{0,      EPERM,  false, 1, "CAP_NET_ADMIN"                          },
		{0,      EBUSY,  true,  1, "another program"                        },
		{0,      EINVAL, true,  1, "made with multi_queue"                  },
		{0,      EINVAL, true,  2, "ip tuntap add tap9 mode tap multi_queue"},
		{0,      EINVAL, false, 1, "Invalid argument"                       },
		{0,      ENOMEM, true,  1, "Cannot allocate memory"                 },
	};
	int before = descriptors();

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		int err = row[i].open_err ? row[i].open_err : row[i].iff_err;

		tun.open_err = row[i].open_err;
		tun.iff_err = row[i].iff_err;
		tun.exists = row[i].exists;
		assert_fails(tap_open(&t, "tap9", -1, row[i].pairs), err, row[i].part);
		assert_non_null(strstr(said, "network tap9: "));
		for (unsigned q = 0; q < tun.queues; q++)
			close(tun.queue[q].peer);
		tun.queues = 0;
		assert_int_equal(descriptors(), before);
	}
}

static void a_kernel_that_refuses_the_setup_leaves_nothing_open(void **state)
{
	tun.hdr_err = EINVAL;
	assert_fails(tap_open(&t, "tap0", -1, 1), EINVAL, "headers of 12 bytes");
	assert_int_equal(fcntl(tun.queue[0].fd, F_GETFD), -1);
	tun.hdr_err = 0;
	tun.offload_err = ENOMEM;
	assert_fails(tap_open(&t, "tap0", -1, 1), ENOMEM, "cannot be set up");
	tun.offload_err = 0;
	tun.queue_err = EINVAL;
	assert_fails(tap_open(&t, "tap0", -1, 2), EINVAL, "cannot be set up");
	for (unsigned i = 0; i < tun.queues; i++)
		assert_int_equal(fcntl(tun.queue[i].fd, F_GETFD), -1);
}

static int teardown(void **state)
{
	tun_reset();
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_tap_is_opened_with_its_header_and_never_blocks),
		T(what_a_user_before_set_does_not_stay),
		T(a_kernel_without_uso_is_found_out),
		T(the_same_offloads_are_told_once),
		T(several_pairs_begin_with_one_on),
		T(pairs_are_turned_on_and_off_in_order),
		T(a_passed_descriptor_is_taken_as_it_is),
		T(a_duplicate_that_cannot_serve_is_closed),
		T(a_passed_descriptor_of_another_kind_is_refused_and_stays_open),
		T(names_that_are_none_are_refused),
		T(only_possible_numbers_of_pairs_are_taken),
		T(what_is_missing_is_said),
		T(a_kernel_that_refuses_the_setup_leaves_nothing_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
