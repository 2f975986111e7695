/*
 * conn.h - one TCP connection to the metadata service [RFC 9293]: the server's side alone, a
 * request at a time, an answer for each. It knows neither frames nor addresses' meaning; sequence
 * numbers are in host order. Time comes in as `now`; nothing here sends, the stack asks what is
 * due.
 */
#pragma once
#include "request.h"

#define CONN_RX      2500u /* the longest request, and the receive window */
#define CONN_MSS     1460u /* the most that is sent in one segment; what is announced, too */
#define CONN_MSS_OLD 536u  /* of one who announces nothing */
#define CONN_MSS_MIN 64u
#define CONN_IDLE    (10 * NSEC) /* without progress: then another may take the place */
#define CONN_HALF    NSEC        /* the same before the handshake is over, or after our FIN */

/* A segment, either way. */
struct segment {
	uint32_t seq, ack;
	uint8_t flags; /* TCP_* */
	uint16_t window;
	uint16_t mss; /* of the option; 0: there is none */
	const uint8_t *data;
	size_t len;
};

/* Who answers. */
struct conn_user {
	void *ctx;
	struct slice (*answer)(void *ctx, const char *request, size_t len, char *buf, size_t size,
			       uint64_t now);
};

enum conn_state { CONN_FREE, CONN_SYN, CONN_OPEN, CONN_CLOSING /* our FIN is last */ };

struct conn {
	enum conn_state state;
	uint8_t mac[6], ip[4]; /* the client's */
	uint16_t port;         /* in network order */
	uint16_t to;           /* ... ours */

	uint16_t mss;
	uint32_t irs, rcv_nxt;
	uint32_t iss, snd_una, snd_nxt;
	uint32_t snd_max;  /* the end of what was ever sent */
	uint32_t snd_edge; /* of the client's window */
	uint32_t data_end; /* of the answer */
	bool ack_due, fin_in;
	bool probe;     /* one byte may go beyond the window */
	unsigned dups;  /* acknowledgements in a row that said nothing new */
	unsigned tries; /* timeouts since the client was last heard */
	uint64_t timer; /* of the next, NEVER */
	uint64_t moved; /* when something new came */

	struct slice answer; /* in buf; empty: a request is awaited */
	char *buf;
	size_t size;
	size_t rx_len;
	char rx[CONN_RX];
};

/* What became of the connection. */
enum conn_end {
	CONN_GOES_ON,
	CONN_ODD,   /* it goes on, but the segment was strange */
	CONN_GONE,  /* it is over */
	CONN_RESET, /* ... and the client is to hear of it */
};

/* Takes a SYN, without its data; `c` is zero but for the client, ports, buf and size. */
void conn_open(struct conn *c, const struct segment *s, uint32_t iss, uint64_t now);
enum conn_end conn_in(struct conn *c, const struct segment *s, const struct conn_user *user,
		      uint64_t now);
bool conn_due(const struct conn *c, uint64_t now);
/* The segment that is due. */
enum conn_end conn_out(struct conn *c, struct segment *s, uint64_t now);
/* May another have its place? */
bool conn_idle(const struct conn *c, uint64_t now);
