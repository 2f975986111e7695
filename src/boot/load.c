/*
 * load.c - claims on guest memory, and what is copied there. The only place in boot/ that reads a
 * file into a guest; every range passes ram_at().
 */
#include "load.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "../log.h"

#define INITRD_ALIGN 4096ull
#define INFO_ALIGN   16ull
#define PAGE         4096ull

#define HUGE_PAGE (2 * MIB)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
/*
 * From this size on the pages are made before the read: that takes a tenth off a kernel's loading
 * time, where each page would otherwise fault inside the copy.
 */
#define POPULATE_MIN (64 * KIB)

static const struct load_range *load_overlap(const struct load *l, uint64_t start, uint64_t size)
{
	for (unsigned i = 0; i < l->n; i++)
		if (start < l->taken[i].end && l->taken[i].start < start + size)
			return &l->taken[i];
	return NULL;
}

void load_reserve(struct load *l, uint64_t start, uint64_t size)
{
	assert(l->n < LOAD_RANGES_MAX); /* elf.c limits the number of segments */
	l->taken[l->n++] = (struct load_range){start, start + size};
}

int load_take(struct load *l, uint64_t start, uint64_t size, const char *what)
{
	const struct load_range *r;

	if (start >= l->ram->low || size > l->ram->low - start)
		return log_fail(E2BIG,
				"kernel %s: %s needs %" PRIu64 " bytes at %#" PRIx64
				", and guest RAM ends at %#" PRIx64 "; give the guest more memory",
				l->kernel.path, what, size, start, l->ram->low);
	r = load_overlap(l, start, size);
	if (r)
		return log_fail(ENOEXEC,
				"kernel %s: %s, %#" PRIx64 " to %#" PRIx64 ", overlaps %#" PRIx64
				" to %#" PRIx64
				", which holds another part of it or the monitor's tables; "
				"link it elsewhere",
				l->kernel.path, what, start, start + size, r->start, r->end);
	load_reserve(l, start, size);
	return 0;
}

uint64_t load_find_low(const struct load *l, uint64_t from, uint64_t size, uint64_t align)
{
	uint64_t pos = align_up(from, align);
	const struct load_range *r;

	/* Every turn moves past one claimed range for good. */
	while (pos < l->ram->low && size <= l->ram->low - pos) {
		r = load_overlap(l, pos, size);
		if (!r)
			return pos;
		pos = align_up(r->end, align);
	}
	return 0;
}

uint64_t load_find_high(const struct load *l, uint64_t limit, uint64_t size, uint64_t align)
{
	uint64_t end = MIN(limit, l->ram->low), pos;
	const struct load_range *r;

	while (end >= GPA_HIMEM && size <= end - GPA_HIMEM) {
		pos = (end - size) & ~(align - 1);
		if (pos < GPA_HIMEM)
			return 0;
		r = load_overlap(l, pos, size);
		if (!r)
			return pos;
		end = r->start;
	}
	return 0;
}

int load_info(struct load *l, uint64_t size, uint64_t *gpa)
{
	*gpa = load_find_low(l, GPA_BOOT_INFO, size, INFO_ALIGN);
	if (!*gpa)
		return log_fail(E2BIG,
				"kernel %s: it leaves no room for boot information in guest RAM; "
				"give the guest more memory",
				l->kernel.path);
	load_reserve(l, *gpa, size);
	return 0;
}

void load_dense(const struct load *l, uint64_t gpa, uint64_t size)
{
	uintptr_t start = (uintptr_t)ram_at(l->ram, gpa, size), end = start + size;

	if (!start)
		return;
	start = align_up(start, HUGE_PAGE);
	end &= ~(HUGE_PAGE - 1);
	if (start < end) /* a hint: hosts without transparent huge pages refuse it */
		madvise((void *)start, end - start, MADV_HUGEPAGE);
}

int load_read(const struct load *l, const struct image *img, uint64_t off, uint64_t gpa,
	      uint64_t len)
{
	uint8_t *to = ram_at(l->ram, gpa, len);
	uint64_t lead = (uintptr_t)to % PAGE;

	if (!to)
		return log_fail(E2BIG,
				"%s %s: %" PRIu64 " bytes at %#" PRIx64 " are outside guest RAM",
				img->what, img->path, len, gpa);
	load_dense(l, gpa, len);
	/*
	 * A hint as well: an older kernel refuses it, and the read makes the pages. Not for more
	 * than there is to read: a header may claim gigabytes.
	 */
	if (len >= POPULATE_MIN && image_holds(img, off, len))
		madvise(to - lead, align_up(lead + len, PAGE), MADV_POPULATE_WRITE);
	return image_read(img, off, to, len);
}

static int initrd_place(struct load *l, const struct image *img, uint64_t limit)
{
	uint64_t gpa = limit ? load_find_high(l, limit, img->size, INITRD_ALIGN)
			     : load_find_low(l, GPA_HIMEM, img->size, INITRD_ALIGN);

	if (!gpa)
		return log_fail(E2BIG,
				"initrd %s: there is no room for its %" PRIu64
				" bytes beside the kernel in guest RAM, which ends at %#" PRIx64
				"; give the guest more memory",
				img->path, img->size, l->ram->low);
	l->initrd = gpa;
	l->initrd_size = img->size;
	load_reserve(l, gpa, img->size);
	return load_read(l, img, 0, gpa, img->size);
}

int load_initrd(struct load *l, uint64_t limit)
{
	struct image img;
	int err;

	if (!l->conf->initrd)
		return 0;
	err = image_take(&img, "initrd", l->conf->initrd, l->conf->initrd_fd);
	if (err)
		return err;
	err = initrd_place(l, &img, limit);
	image_close(&img);
	return err;
}

int load_cmdline_fits(const struct load *l, uint64_t len, uint64_t max)
{
	max = MIN(max, CMDLINE_MAX - 1);
	if (len > max)
		return log_fail(E2BIG,
				"command line: it has %" PRIu64
				" bytes, and kernel %s takes %" PRIu64 "; shorten it",
				len, l->kernel.path, max);
	return 0;
}

int load_cmdline(const struct load *l, uint64_t max)
{
	uint64_t len = strlen(l->conf->cmdline);
	int err = load_cmdline_fits(l, len, max);
	char *to;

	if (err)
		return err;
	to = ram_at(l->ram, GPA_CMDLINE, len + 1);
	if (!to)
		return log_fail(E2BIG, "command line: guest RAM is too small for it");
	memcpy(to, l->conf->cmdline, len + 1);
	return 0;
}
