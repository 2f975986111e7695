/* mmds.c - the microVM metadata service: store, tokens and stacks put together. */
#include "mmds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "../log.h"
#include "answer.h"
#include "format.h"
#include "stack.h"

#define LIMIT_MAX GIB /* beyond it sequence numbers would not tell where an answer ends */

static const uint8_t mmds_mac[6] = {0x06, 0x01, 0x23, 0x45, 0x67, 0x01};
static const uint8_t mmds_ip[4] = {169, 254, 169, 254};

int mmds_init(struct mmds *m, size_t limit)
{
	*m = (struct mmds){0};
	memcpy(m->ip, mmds_ip, sizeof(m->ip));
	store_init(&m->store, MIN(limit, LIMIT_MAX));
	json_object_seed(0); /* reads a device, which is not to be had later */
	return tokens_init(&m->tokens);
}

void mmds_finish(struct mmds *m)
{
	store_finish(&m->store);
}

bool mmds_ip_good(const uint8_t ip[4])
{
	return ip[0] == 169 && ip[1] == 254 && ip[2] != 0 && ip[2] != 255;
}

bool mmds_configure(struct mmds *m, enum mmds_version version, const uint8_t *ip, bool imds_compat)
{
	if (ip && !mmds_ip_good(ip))
		return false;
	memcpy(m->ip, ip ? ip : mmds_ip, sizeof(m->ip));
	m->version = version;
	m->imds_compat = imds_compat;
	return true;
}

enum mmds_result mmds_put(struct mmds *m, json_t *value)
{
	return store_put(&m->store, value);
}

enum mmds_result mmds_patch(struct mmds *m, json_t *patch)
{
	return store_patch(&m->store, patch);
}

char *mmds_get(const struct mmds *m, size_t *len)
{
	json_t *root = m->store.root;
	struct text t = {0};

	if (!root || json_is_null(root)) {
		*len = 2;
		return strdup("{}");
	}
	format_json(&t, root);
	t = (struct text){.buf = malloc(t.len + 1), .size = t.len + 1};
	if (!t.buf)
		return NULL;
	format_json(&t, root);
	*len = t.len;
	t.buf[t.len] = '\0';
	return t.buf;
}

const char *mmds_fault(enum mmds_result result)
{
	switch (result) {
	case MMDS_TOO_LARGE:
		return "MMDS limit exceeded error: The MMDS patch request doesn't fit.";
	case MMDS_NOT_INITIALIZED: return "MMDS error: The MMDS data store is not initialized.";
	case MMDS_TOO_DEEP:
		return "An error occurred when deserializing the json body of a request: recursion "
		       "limit exceeded.";
	case MMDS_NO_MEMORY: return "MMDS error: The host has no memory for the metadata.";
	case MMDS_OK: break;
	}
	return "";
}

/* --- one interface --- */

static struct slice nic_answer(void *ctx, const char *request, size_t len, char *buf, size_t size,
			       uint64_t now)
{
	return mmds_answer(ctx, request, len, buf, size, now);
}

static bool nic_take(void *ctx, const uint8_t *frame, size_t len, uint64_t now)
{
	return mmds_frame_in(ctx, frame, len, now);
}

static size_t nic_give(void *ctx, uint8_t *buf, size_t size, uint64_t now)
{
	return mmds_frame_out(ctx, buf, size, now);
}

static uint64_t nic_deadline(void *ctx, uint64_t now)
{
	return mmds_deadline(ctx, now);
}

/* Mapped, since most of it is never touched: a connection's buffer is as long as the store may be.
 */
int mmds_nic_open(struct mmds_nic *nic, struct mmds *m)
{
	size_t head = align_up(sizeof(struct stack), 4096);
	size_t each = align_up(m->store.limit + ANSWER_ROOM, 4096);
	struct stack *s;

	*nic = (struct mmds_nic){.size = head + STACK_CONNS * each};
	s = mmap(NULL, nic->size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s == MAP_FAILED)
		return log_fail(errno,
				"metadata service: no %zu bytes for %u connections: %s; choose a "
				"smaller limit",
				nic->size, STACK_CONNS, strerror(errno));
	if (getrandom(s->key, sizeof(s->key), 0) != sizeof(s->key)) {
		munmap(s, nic->size);
		return log_fail(EIO, "metadata service: no random sequence numbers");
	}
	memcpy(s->mac, mmds_mac, sizeof(s->mac));
	memcpy(s->ip, m->ip, sizeof(s->ip));
	s->user = (struct conn_user){m, nic_answer};
	s->counters = &m->counters;
	stack_init(s, (char *)s + head, each);
	nic->stack = s;
	nic->detour = (struct net_detour){
		.ctx = nic, .take = nic_take, .give = nic_give, .deadline = nic_deadline};
	memcpy(nic->detour.ip, m->ip, sizeof(nic->detour.ip));
	return 0;
}

void mmds_nic_close(struct mmds_nic *nic)
{
	if (nic->stack)
		munmap(nic->stack, nic->size);
	nic->stack = NULL;
}

bool mmds_frame_in(struct mmds_nic *nic, const uint8_t *frame, size_t len, uint64_t now)
{
	return stack_in(nic->stack, frame, len, now);
}

size_t mmds_frame_out(struct mmds_nic *nic, uint8_t *buf, size_t size, uint64_t now)
{
	return stack_out(nic->stack, buf, size, now);
}

uint64_t mmds_deadline(struct mmds_nic *nic, uint64_t now)
{
	return stack_deadline(nic->stack);
}
