/*
 * mmds.h - the microVM metadata service, as Firecracker's, of both versions: JSON that the operator
 * puts into a store and the guest reads by HTTP from a link-local address. That address exists only
 * inside the network devices of interfaces that were named: they take the guest's frames to it out
 * of its traffic (struct net_detour), and a small TCP stack answers them.
 *
 * Loop's thread. Heap is used for what the operator asks, and never by what a guest sends.
 */
#pragma once
#include "../virtio/net.h"
#include "counters.h"
#include "store.h"
#include "token.h"

#define MMDS_LIMIT 51200u /* bytes of metadata, unless the operator says otherwise */

enum mmds_version { MMDS_V1, MMDS_V2 };

struct mmds {
	enum mmds_version version;
	bool imds_compat; /* never JSON, as EC2 */
	uint8_t ip[4];
	struct store store;
	struct tokens tokens;
	struct mmds_counters counters;
};

struct stack; /* stack.h */

/* The service on one interface. */
struct mmds_nic {
	struct stack *stack; /* mapped; NULL: closed */
	size_t size;
	struct net_detour detour; /* for struct net_conf */
};

/* Version 1 at 169.254.169.254, nothing in it. 0 or -errno, logged. Before lock-down. */
int mmds_init(struct mmds *m, size_t limit);
void mmds_finish(struct mmds *m);

/* A link-local address that a host may have [RFC 3927]. */
bool mmds_ip_good(const uint8_t ip[4]);
/* `ip` NULL: 169.254.169.254. false: it is not a good one, and nothing changed. */
bool mmds_configure(struct mmds *m, enum mmds_version version, const uint8_t *ip, bool imds_compat);

/* The operator's requests; they copy what they keep. What fails changes nothing. */
enum mmds_result mmds_put(struct mmds *m, json_t *value);
enum mmds_result mmds_patch(struct mmds *m, json_t *patch);
/* All of it as JSON in memory from malloc(), NUL-terminated; {} when there is nothing. NULL: no
 * memory. */
char *mmds_get(const struct mmds *m, size_t *len);
/* The fault_message of a result; MMDS_TOO_LARGE is status 413, the others 400. */
const char *mmds_fault(enum mmds_result result);

/*
 * Makes the stack of one interface, at the address that was configured; its detour then goes into
 * the interface's struct net_conf. Neither may move. 0 or -errno, logged.
 */
int mmds_nic_open(struct mmds_nic *nic, struct mmds *m);
/* Once the interface is closed. */
void mmds_nic_close(struct mmds_nic *nic);

/* What the detour does: a frame of the guest's, which was for the service if true comes back; the
 * next frame for the guest, 0 if there is none; and when to ask again. */
bool mmds_frame_in(struct mmds_nic *nic, const uint8_t *frame, size_t len, uint64_t now);
size_t mmds_frame_out(struct mmds_nic *nic, uint8_t *buf, size_t size, uint64_t now);
uint64_t mmds_deadline(struct mmds_nic *nic, uint64_t now);
