/*
 * net_tap_test.c - the network device on a tap of the real kernel, in a network namespace of its
 * own: the host's side is the kernel's ARP, UDP and packet sockets. Moved by us, and by vhost-net.
 * Skipped where the one or the other is not to be had.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../src/virtio/net_io.h"
#include "../../lib/driver.h"
#include "../said.h"

#ifndef USE_VHOST
#define USE_VHOST false /* as net_tap_vhost_test.c */
#endif
#define TAP      "minnow0"
#define HOST_IP  0x0a090001u /* 10.9.0.1 */
#define GUEST_IP 0x0a090002u
#define UDP_PORT 4321
#define ALL                                                                                        \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MAC | VIRTIO_NET_F_MRG_RXBUF |     \
	 VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 |                   \
	 VIRTIO_NET_F_HOST_TSO4)
#define HDR_10  10u /* a packet socket's header has no num_buffers */
#define RX_BUFS 128u
#define RX_LEN  2048u
#define WAIT_MS 3000

struct arp {
	uint16_t hw, proto;
	uint8_t hw_len, proto_len;
	uint16_t op;
	uint8_t from_mac[6];
	uint32_t from_ip;
	uint8_t to_mac[6];
	uint32_t to_ip;
} __attribute__((packed));

struct ip_tcp {
	struct {
		uint8_t to[6], from[6];
		uint16_t type;
	} __attribute__((packed)) eth;
	struct {
		uint8_t version, tos;
		uint16_t len, id, frag;
		uint8_t ttl, proto;
		uint16_t sum;
		uint32_t from, to;
	} __attribute__((packed)) ip;
	union {
		struct {
			uint16_t from, to, len, sum;
		} __attribute__((packed)) udp;
		struct {
			uint16_t from, to;
			uint32_t seq, ack;
			uint8_t off, flags;
			uint16_t window, sum, urgent;
		} __attribute__((packed)) tcp;
	};
} __attribute__((packed));

#define ETH_LEN 14u
#define IP_LEN  20u
#define UDP_LEN 8u
#define TCP_LEN 20u
#define UDP_OFF (ETH_LEN + IP_LEN)

static struct ram ram;
static struct driver_host h;
static struct driver v[5];
static struct net n;
static struct net_conf conf;
static struct watch *watched[NET_PAIRS_MAX];
static unsigned watches;
static uint64_t rx_at[RX_BUFS];
static uint8_t frame[TAP_HDR_LEN + 65536], got[TAP_HDR_LEN + 65536 + RX_LEN];

static int watch_add(void *ctx, struct watch *w)
{
	watched[watches++] = w;
	return 0;
}

static void watch_del(void *ctx, struct watch *w)
{
	w->fd = -1;
}

static const struct watcher watcher = {.add = watch_add, .del = watch_del};

/* --- the host's side --- */

static void link_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = TAP};
	struct sockaddr_in *ip = (struct sockaddr_in *)&ifr.ifr_addr;

	*ip = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(HOST_IP)};
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	ip->sin_addr.s_addr = htonl(0xffffff00);
	assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &ifr), 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

/* Frames of the tap with their virtio headers, of ten bytes. */
static int packet_socket(uint16_t proto)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(proto),
				 .sll_ifindex = (int)if_nametoindex(TAP)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(proto)), on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, WAIT_MS) == 1;
}

/* --- the guest's side --- */

static void give_buffer(unsigned i, unsigned q)
{
	const struct driver_buf b = {rx_at[i], RX_LEN, true};

	assert_true(driver_add(&v[q], &b, 1) >= 0);
	driver_kick(&v[q], &n.dev);
}

static void up(uint64_t features)
{
	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), 0);
	for (unsigned i = 0; i < n.dev.queues; i++)
		driver_init(&v[i], &ram, 0x100000 + i * 0x100000ull, 256, features);
	assert_true(driver_bring_up(&h, &n.dev, v, n.dev.queues, features));
	for (unsigned i = 0; i < RX_BUFS; i++) {
		rx_at[i] = driver_alloc(&v[0], RX_LEN);
		give_buffer(i, 0);
	}
	driver_serve(&n.dev);
}

/* Takes the next packet into got[]; the length of its frame, 0: there is none. */
static uint32_t take(unsigned *bufs)
{
	struct driver_done done;
	uint32_t len = 0;

	for (*bufs = 0; driver_used(&v[0], &done); ++*bufs) {
		memcpy(got + len, driver_at(&v[0], rx_at[done.head], done.len), done.len);
		len += done.len;
		give_buffer(done.head, 0);
		if (*bufs + 1 == ((struct net_hdr *)got)->num_buffers) {
			++*bufs;
			return len - TAP_HDR_LEN;
		}
	}
	return 0;
}

/* The next frame of this type, whatever else the kernel says on a new link. */
static uint32_t receive(uint16_t type, unsigned *bufs)
{
	const struct ip_tcp *p = (const struct ip_tcp *)(got + TAP_HDR_LEN);
	uint64_t calls;

	for (unsigned i = 0; i < 100; i++) {
		uint32_t len = take(bufs);

		if (len && ntohs(p->eth.type) == type)
			return len;
		if (len)
			continue;
		driver_serve(&n.dev);
		if (conf.vhost && driver_interrupts(&v[0], true))
			continue;
		if (!readable(watched[0]->fd)) /* the tap, or the kernel's call */
			return 0;
		watched[0]->ready(watched[0], WATCH_IN);
		if (conf.vhost && read(watched[0]->fd, &calls, sizeof(calls)) < 0)
			return 0;
	}
	return 0;
}

/* Sends frame[] with its header, in three pieces; queue 1 or 3. */
static void send_frame(unsigned q, uint32_t len)
{
	uint64_t at = v[q].heap;
	const struct driver_buf b[] = {
		{at,                    TAP_HDR_LEN, false},
		{at + TAP_HDR_LEN,      40,          false},
		{at + TAP_HDR_LEN + 40, len - 40,    false}
        };
	struct driver_done done;

	memcpy(driver_at(&v[q], at, TAP_HDR_LEN + len), frame, TAP_HDR_LEN + len);
	assert_true(driver_add(&v[q], b, 3) >= 0);
	driver_kick(&v[q], &n.dev);
	for (unsigned i = 0; conf.vhost && i < WAIT_MS && !driver_interrupts(&v[q], false); i++)
		usleep(1000); /* in a thread of the kernel */
	assert_true(driver_used(&v[q], &done));
}

static uint32_t fill_arp(uint16_t op, const uint8_t *to)
{
	struct arp *a = (struct arp *)(frame + TAP_HDR_LEN + ETH_LEN);

	memset(frame, 0, sizeof(frame));
	memcpy(frame + TAP_HDR_LEN, to, 6);
	memcpy(frame + TAP_HDR_LEN + 6, n.dev.config, 6);
	frame[TAP_HDR_LEN + 12] = 0x08;
	frame[TAP_HDR_LEN + 13] = 0x06;
	*a = (struct arp){htons(1), htons(ETH_P_IP), 6, 4, htons(op), {0}, htonl(GUEST_IP),
			  {0},      htonl(HOST_IP)};
	memcpy(a->from_mac, n.dev.config, 6);
	return 60;
}

/* The kernel's address, asked for by ARP, which also tells it ours. */
static void meet(uint8_t host_mac[6])
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	const struct arp *a = (const struct arp *)(got + TAP_HDR_LEN + ETH_LEN);
	unsigned bufs;

	send_frame(1, fill_arp(1, all));
	do {
		assert_true(receive(ETH_P_ARP, &bufs) >= ETH_LEN + sizeof(*a));
	} while (ntohs(a->op) != 2);
	assert_int_equal(ntohl(a->from_ip), HOST_IP);
	assert_memory_equal(a->to_mac, n.dev.config, 6);
	memcpy(host_mac, a->from_mac, 6);
}

static uint32_t sum16(const void *p, size_t len, uint32_t sum)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* An IP packet with `len` bytes above IP, whose checksum is begun as for NEEDS_CSUM. */
static struct ip_tcp *fill_ip(const uint8_t *to, const uint8_t *from, bool guest, uint8_t proto,
			      uint32_t len)
{
	struct ip_tcp *p = (struct ip_tcp *)(frame + TAP_HDR_LEN);
	uint16_t begun;

	memset(frame, 0, TAP_HDR_LEN + sizeof(*p));
	for (uint32_t i = sizeof(*p); i < UDP_OFF + len; i++)
		frame[TAP_HDR_LEN + i] = (uint8_t)(i * 13 + i / 256);
	memcpy(p->eth.to, to, 6);
	memcpy(p->eth.from, from, 6);
	p->eth.type = htons(ETH_P_IP);
	p->ip.version = 0x45;
	p->ip.len = htons((uint16_t)(IP_LEN + len));
	p->ip.ttl = 64;
	p->ip.proto = proto;
	p->ip.from = htonl(guest ? GUEST_IP : HOST_IP);
	p->ip.to = htonl(guest ? HOST_IP : GUEST_IP);
	p->ip.sum = htons((uint16_t)~fold(sum16(&p->ip, IP_LEN, 0)));
	begun = htons(fold(sum16(&p->ip.from, 8, proto + len)));
	if (proto == IPPROTO_UDP)
		p->udp.sum = begun;
	else
		p->tcp.sum = begun;
	return p;
}

static int udp_socket(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(UDP_PORT)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(HOST_IP);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* --- tests --- */

static int setup(void **state)
{
	said_lines = watches = 0;
	conf = (struct net_conf){
		.tap = TAP, .fd = -1, .pairs = 1, .offload = true, .vhost = USE_VHOST};
	ram = driver_ram(16 * MIB, 0);
	driver_host_init(&h);
	n = (struct net){0};
	return 0;
}

static int teardown(void **state)
{
	net_close(&n);
	driver_ram_free(&ram);
	return 0;
}

static void a_tap_that_is_down_is_told_of(void **state)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};

	up(ALL);
	send_frame(1, fill_arp(1, all));
	assert_int_equal(n.out.dropped, 1);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "ip link set " TAP " up"));
}

static void the_kernel_answers_arp(void **state)
{
	static const uint8_t none[6];
	uint8_t mac[6];

	up(ALL);
	link_up();
	meet(mac);
	assert_memory_not_equal(mac, none, 6);
	assert_int_equal(n.dev.errors, 0);
}

/* Its checksum is only begun: the kernel takes it as good, because the header says so. */
static void a_datagram_of_the_guest_reaches_a_socket(void **state)
{
	struct ip_tcp *p;
	uint8_t mac[6];
	int fd;

	up(ALL);
	link_up();
	meet(mac);
	fd = udp_socket();
	p = fill_ip(mac, n.dev.config, true, IPPROTO_UDP, UDP_LEN + 1000);
	p->udp.from = htons(1234);
	p->udp.to = htons(UDP_PORT);
	p->udp.len = htons(UDP_LEN + 1000);
	*(struct net_hdr *)frame = (struct net_hdr){
		.flags = 1, .csum_start = UDP_OFF, .csum_offset = 6, .num_buffers = 0xffff};
	send_frame(1, UDP_OFF + UDP_LEN + 1000);
	assert_true(readable(fd));
	assert_int_equal(recv(fd, got, sizeof(got), 0), 1000);
	assert_memory_equal(got, frame + TAP_HDR_LEN + UDP_OFF + UDP_LEN, 1000);
	close(fd);
}

/* Without the feature the kernel has to compute what it otherwise leaves to the guest. */
static void a_datagram_for_the_guest_has_the_checksum_that_was_agreed(void **state)
{
	for (unsigned csum = 0; csum < 2; csum++) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1234)};
		const struct ip_tcp *p = (const struct ip_tcp *)(got + TAP_HDR_LEN);
		unsigned bufs;
		uint8_t mac[6];
		int fd;

		watches = 0;
		up(csum ? ALL : ALL & ~VIRTIO_NET_F_GUEST_CSUM);
		link_up();
		meet(mac);
		fd = udp_socket();
		to.sin_addr.s_addr = htonl(GUEST_IP);
		assert_int_equal(sendto(fd, frame, 999, 0, (struct sockaddr *)&to, sizeof(to)),
				 999);
		assert_int_equal(receive(ETH_P_IP, &bufs), UDP_OFF + UDP_LEN + 999);
		assert_memory_equal(got + TAP_HDR_LEN + UDP_OFF + UDP_LEN, frame, 999);
		assert_int_equal(((struct net_hdr *)got)->flags, csum);
		if (!csum)
			assert_int_equal(fold(sum16(&p->ip.from, 8 + UDP_LEN + 999,
						    IPPROTO_UDP + UDP_LEN + 999)),
					 0xffff);
		close(fd);
		net_close(&n);
	}
}

/* 30 KiB of TCP in one frame; cut by the kernel when the guest did not take TSO. */
static void segments_for_the_guest_come_whole_or_cut(void **state)
{
	for (unsigned tso = 0; tso < 2; tso++) {
		const uint32_t len = UDP_OFF + TCP_LEN + 30000;
		uint32_t payload = 0, first;
		struct ip_tcp *p;
		unsigned bufs;
		uint8_t mac[6];
		int fd;

		watches = 0;
		up(tso ? ALL : ALL & ~VIRTIO_NET_F_GUEST_TSO4);
		link_up();
		meet(mac);
		fd = packet_socket(ETH_P_IP);
		p = fill_ip(n.dev.config, mac, false, IPPROTO_TCP, TCP_LEN + 30000);
		p->tcp.off = 0x50;
		p->tcp.flags = 0x10;
		memcpy(frame + 2, &(struct net_hdr){1, 1, UDP_OFF + TCP_LEN, 1448, UDP_OFF, 16, 0},
		       HDR_10);
		assert_int_equal(send(fd, frame + 2, HDR_10 + len, 0), HDR_10 + len);
		first = receive(ETH_P_IP, &bufs);
		assert_int_equal(first, tso ? len : UDP_OFF + TCP_LEN + 1448);
		assert_int_equal(((struct net_hdr *)got)->gso_type, tso);
		assert_int_equal(bufs, (first + TAP_HDR_LEN + RX_LEN - 1) / RX_LEN);
		for (uint32_t l = first; l; l = payload < 30000 ? receive(ETH_P_IP, &bufs) : 0) {
			uint32_t part = l - UDP_OFF - TCP_LEN;

			assert_memory_equal(got + TAP_HDR_LEN + UDP_OFF + TCP_LEN,
					    frame + TAP_HDR_LEN + UDP_OFF + TCP_LEN + payload,
					    part);
			payload += part;
		}
		assert_int_equal(payload, 30000);
		close(fd);
		net_close(&n);
	}
}

static void segments_of_the_guest_reach_the_host_whole(void **state)
{
	const uint32_t len = UDP_OFF + TCP_LEN + 60000;
	const struct net_hdr *seen = (const struct net_hdr *)got;
	struct ip_tcp *p;
	uint8_t mac[6];
	int fd;

	up(ALL);
	link_up();
	meet(mac);
	fd = packet_socket(ETH_P_IP);
	p = fill_ip(mac, n.dev.config, true, IPPROTO_TCP, TCP_LEN + 60000);
	p->tcp.off = 0x50;
	p->tcp.flags = 0x10;
	*(struct net_hdr *)frame = (struct net_hdr){1, 1, UDP_OFF + TCP_LEN, 1448, UDP_OFF, 16, 0};
	send_frame(1, len);
	assert_int_equal(n.out.dropped, 0);
	assert_true(readable(fd));
	assert_int_equal(recv(fd, got, sizeof(got), 0), HDR_10 + len);
	assert_int_equal(seen->gso_type, 1);
	assert_int_equal(seen->gso_size, 1448);
	assert_memory_equal(got + HDR_10, frame + TAP_HDR_LEN, len);
	close(fd);
}

static void two_pairs_share_a_tap(void **state)
{
	const uint64_t features = ALL | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_MQ;
	uint8_t *msg, mac[6];
	uint64_t at;
	int fd;

	conf.pairs = 2;
	up(features);
	link_up();
	meet(mac);
	at = driver_alloc(&v[4], 16);
	msg = driver_at(&v[4], at, 5);
	memcpy(msg, (uint8_t[]){4, 0, 2, 0, 0xcc}, 5);
	driver_add(&v[4],
		   (struct driver_buf[]){
			   {at,     4, false},
                           {at + 4, 1, true }
        },
		   2);
	driver_kick(&v[4], &n.dev);
	assert_int_equal(msg[4], 0);
	fd = packet_socket(ETH_P_ARP);
	send_frame(3, fill_arp(2, mac));
	assert_true(readable(fd));
	assert_int_equal(n.dev.errors, 0);
	close(fd);
	assert_true(driver_reset(&n.dev));
	assert_int_equal(n.tap.on, 1);
	assert_int_equal(n.dev.errors, 0);
}

/* As a run after its lock-down: in a process of its own, since it does not come back. */
static void nothing_that_a_driver_does_needs_a_privilege(void **state)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	int status;
	pid_t pid;

	conf.pairs = 2;
	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), 0);
	pid = fork();
	if (pid == 0) {
		bool good = syscall(SYS_capset, &head, none) == 0;

		good = good && tap_turn_on(&n.tap, 2) == 0 && tap_turn_on(&n.tap, 1) == 0;
		good = good && tap_offload(&n.tap, TAP_F_CSUM | TAP_F_TSO4) == 0;
		_exit(good && tap_offload(&n.tap, 0) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_tap_in_use_or_of_another_kind_is_said(void **state)
{
	struct net other = {0};

	up(ALL);
	assert_fails(net_init(&other, &conf, &h.host, &ram, &watcher), EBUSY, "another program");
	conf.pairs = 2;
	assert_fails(net_init(&other, &conf, &h.host, &ram, &watcher), EINVAL, "multi_queue");
	conf.pairs = 1;
	conf.tap = "lo";
	assert_fails(net_init(&other, &conf, &h.host, &ram, &watcher), EINVAL, "is no tap");
}

static void a_tap_goes_away_with_the_device_that_made_it(void **state)
{
	up(ALL);
	assert_true(if_nametoindex(TAP) != 0);
	net_close(&n);
	assert_true(if_nametoindex(TAP) == 0);
}

static void delete_link(void)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} msg = {
		.head = {.nlmsg_len = sizeof(msg),
			 .nlmsg_type = RTM_DELLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.link = {.ifi_index = (int)if_nametoindex(TAP)}
        };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	assert_int_equal(send(fd, &msg, sizeof(msg), 0), sizeof(msg));
	assert_true(recv(fd, got, sizeof(got), 0) > 0); /* once it is done */
	close(fd);
	assert_int_equal(if_nametoindex(TAP), 0);
}

/* While the device runs, someone deletes the interface. */
static void a_tap_that_is_deleted_is_silence(void **state)
{
	uint8_t mac[6];
	unsigned bufs;

	up(ALL);
	link_up();
	meet(mac);
	delete_link();
	watched[0]->ready(watched[0], WATCH_IN | WATCH_ERR);
	assert_false(n.dev.again);
	assert_int_equal(take(&bufs), 0);
	send_frame(1, fill_arp(1, mac));
	assert_int_equal(n.out.dropped, 1);
}

/* Why there can be no tests; NULL: there can. */
static const char *own_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return "no network namespace may be made here";
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return "/dev/net/tun cannot be opened here";
	close(fd);
	if (USE_VHOST && access("/dev/vhost-net", R_OK | W_OK) < 0)
		return "/dev/vhost-net cannot be opened here";
	return NULL;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest moved[] = {
		T(the_kernel_answers_arp),
		T(a_datagram_of_the_guest_reaches_a_socket),
		T(a_datagram_for_the_guest_has_the_checksum_that_was_agreed),
		T(segments_for_the_guest_come_whole_or_cut),
		T(segments_of_the_guest_reach_the_host_whole),
		T(two_pairs_share_a_tap),
	};
	const struct CMUnitTest ours[] = {
		T(a_tap_that_is_down_is_told_of),
		T(nothing_that_a_driver_does_needs_a_privilege),
		T(a_tap_in_use_or_of_another_kind_is_said),
		T(a_tap_goes_away_with_the_device_that_made_it),
		T(a_tap_that_is_deleted_is_silence),
	};
	const char *why = own_namespace();
	struct CMUnitTest tests[ARRAY_SIZE(moved) + ARRAY_SIZE(ours)];

	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	memcpy(tests, moved, sizeof(moved));
	memcpy(tests + ARRAY_SIZE(moved), ours, sizeof(ours));
	return _cmocka_run_group_tests(
		"tests", tests, USE_VHOST ? ARRAY_SIZE(moved) : ARRAY_SIZE(tests), NULL, NULL);
}
