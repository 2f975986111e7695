/*
 * ram.c - guest RAM. One private anonymous mapping, not reserved: pages come when they are touched.
 * Its start is a multiple of 2 MiB in the host as in the guest, so that large pages of either line
 * up with those of the other.
 */
#include "ram.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../log.h"

#define RAM_ALIGN (2 * MIB)
#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26) /* <linux/mman.h>: log2 of the page size, from bit 26 */
#endif

static void *map_anonymous(uint64_t size, int flags)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/*
 * Linux aligns a large anonymous mapping by itself from 6.7 on; before that, one that is 2 MiB
 * longer holds an aligned part, and the rest is given back.
 */
static void *map_aligned(uint64_t size)
{
	uint8_t *p = map_anonymous(size, MAP_NORESERVE);
	uint64_t head;

	if (p == MAP_FAILED || (uintptr_t)p % RAM_ALIGN == 0)
		return p;
	munmap(p, size);
	p = map_anonymous(size + RAM_ALIGN, MAP_NORESERVE);
	if (p == MAP_FAILED)
		return p;
	head = align_up((uintptr_t)p, RAM_ALIGN) - (uintptr_t)p;
	if (head)
		munmap(p, head);
	if (head < RAM_ALIGN)
		munmap(p + head + size, RAM_ALIGN - head);
	return p + head;
}

/* Without MAP_NORESERVE: a pool that is too small is refused here, not by a SIGBUS later. */
static void *map_hugetlb(uint64_t size)
{
	return map_anonymous(size, MAP_HUGETLB | MAP_HUGE_2MB);
}

static int map_failed(uint64_t size, enum ram_pages pages)
{
	int err = errno;

	if (pages == RAM_PAGES_2M)
		return log_fail(err,
				"guest RAM: %llu huge pages of 2 MiB cannot be had: %s; raise "
				"vm.nr_hugepages or use normal pages",
				size / RAM_ALIGN, strerror(err));
	return log_fail(err, "guest RAM: %llu MiB cannot be mapped: %s; give the guest less",
			size / MIB, strerror(err));
}

int ram_map(struct ram *r, uint64_t size, enum ram_pages pages)
{
	void *host;
	int err;

	*r = (struct ram){0};
	if (size < RAM_MIN || size > RAM_MAX || size % RAM_ALIGN)
		return log_fail(EINVAL,
				"guest RAM: %llu KiB is not a multiple of 2 MiB from %llu MiB to "
				"%llu GiB",
				size / KIB, RAM_MIN / MIB, RAM_MAX / GIB);
	host = pages == RAM_PAGES_2M ? map_hugetlb(size) : map_aligned(size);
	if (host == MAP_FAILED)
		return map_failed(size, pages);
	/* A guest's memory does not belong into a core dump of the monitor. */
	if (madvise(host, size, MADV_DONTDUMP) < 0) {
		err = errno;
		munmap(host, size);
		return log_fail(err, "guest RAM: it cannot be kept out of core dumps: %s",
				strerror(err));
	}
	if (pages == RAM_PAGES_THP && madvise(host, size, MADV_HUGEPAGE) < 0)
		log_err("guest RAM: no transparent huge pages: %s; going on with normal pages",
			strerror(errno));
	r->host = host;
	r->low = MIN(size, GPA_LOW_RAM_MAX);
	r->high = size - r->low;
	return 0;
}

void ram_unmap(struct ram *r)
{
	if (r->host)
		munmap(r->host, r->low + r->high);
	*r = (struct ram){0};
}
