/*
 * frame.h - what the metadata service's packets are made of: Ethernet, ARP [RFC 826], IPv4 [RFC
 * 791], TCP [RFC 9293]. All fields in network order, none aligned.
 */
#pragma once
#include <arpa/inet.h>

#include "../util.h"

#define ETH_IP  0x0800u
#define ETH_ARP 0x0806u

struct eth {
	uint8_t to[6], from[6];
	uint16_t type;
} __attribute__((packed));

#define ARP_ETHERNET 1u
#define ARP_REQUEST  1u
#define ARP_REPLY    2u

struct arp {
	uint16_t hw, proto;
	uint8_t hw_len, proto_len;
	uint16_t op;
	uint8_t from_mac[6], from_ip[4];
	uint8_t to_mac[6], to_ip[4];
} __attribute__((packed));

#define IP4_VERSION  0x45u /* 4, and five words of header */
#define IP4_DF       0x4000u
#define IP4_FRAGMENT 0x3fffu /* more of them, or an offset */
#define IP4_TTL      1u      /* no router passes it on, as Firecracker has it */
#define IP4_TCP      6u

struct ip {
	uint8_t version, tos;
	uint16_t len, id, frag;
	uint8_t ttl, proto;
	uint16_t sum;
	uint8_t from[4], to[4];
} __attribute__((packed));

#define TCP_FIN   0x01u
#define TCP_SYN   0x02u
#define TCP_RST   0x04u
#define TCP_PSH   0x08u
#define TCP_ACK   0x10u
#define TCP_FLAGS 0x3fu

struct tcp {
	uint16_t from, to;
	uint32_t seq, ack;
	uint8_t words, flags; /* of the header, in the upper half */
	uint16_t window, sum, urgent;
} __attribute__((packed));

#define TCP_OPT_END 0u
#define TCP_OPT_NOP 1u
#define TCP_OPT_MSS 2u

struct tcp_mss {
	uint8_t kind, len;
	uint16_t mss;
} __attribute__((packed));

#define FRAME_TCP 34u /* where it starts behind headers without options */
