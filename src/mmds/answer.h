/*
 * answer.h - what the metadata service answers to a guest's request. No heap; loop's thread.
 */
#pragma once
#include "request.h"

#define ANSWER_ROOM 4096u /* beside the metadata: headers, and the longest error */

struct mmds;

/*
 * The answer to the request that ends at `len`, in `buf`, whose size is ANSWER_ROOM more than the
 * store's limit at least.
 */
struct slice mmds_answer(struct mmds *m, const char *request, size_t len, char *buf, size_t size,
			 uint64_t now);
