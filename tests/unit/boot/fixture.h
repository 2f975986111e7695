/*
 * fixture.h - what the tests of boot/ share: guest RAM between guard pages, files without names,
 * what was logged, and a builder of ELF files. Included by one file of a program.
 */
#pragma once
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../src/boot/boot.h"
#include "../../../src/mem/ram.h"
#include "../said.h"

/* Guest RAM; an access next to it ends the test. `size` may exceed 3 GiB: nothing is reserved. */
#define GUARD (1 * MIB)

static inline struct ram ram_new(uint64_t size)
{
	struct ram r = {.low = MIN(size, GPA_LOW_RAM_MAX)};
	uint8_t *p = mmap(NULL, size + 2 * GUARD, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + GUARD, size, PROT_READ | PROT_WRITE), 0);
	r.host = p + GUARD;
	r.high = size - r.low;
	said_lines = 0;
	return r;
}

static inline void ram_free(struct ram *r)
{
	munmap(r->host - GUARD, r->low + r->high + 2 * GUARD);
}

static inline uint64_t peek(const struct ram *r, uint64_t gpa, unsigned size)
{
	uint64_t v = 0;
	void *p = ram_at(r, gpa, size);

	assert_non_null(p);
	memcpy(&v, p, size);
	return v;
}

static inline const char *peek_str(const struct ram *r, uint64_t gpa)
{
	const char *p = ram_at(r, gpa, 1);

	assert_non_null(p);
	return p;
}

/* True if [gpa, gpa + len) is all zero. */
static inline bool is_zero(const struct ram *r, uint64_t gpa, uint64_t len)
{
	const uint8_t *p = ram_at(r, gpa, len);

	assert_non_null(p);
	return len == 0 || (p[0] == 0 && !memcmp(p, p + 1, len - 1));
}

/* A file with these bytes; freed by file_free(). */
struct file {
	int fd;
	char path[32];
};

static inline struct file file_new(const void *data, size_t len)
{
	struct file f = {.fd = memfd_create("image", 0)};

	assert_true(f.fd >= 0);
	if (len)
		assert_int_equal(pwrite(f.fd, data, len, 0), (ssize_t)len);
	snprintf(f.path, sizeof(f.path), "/proc/self/fd/%d", f.fd);
	return f;
}

static inline void file_free(struct file *f)
{
	close(f->fd);
}

/* An ELF in the making. Program headers follow the ELF header, contents start at 1000h. */
#define BLOB_SIZE (192 * KIB)

struct blob {
	size_t len;
	bool is64;
	unsigned phnum;
	uint8_t b[BLOB_SIZE];
};

static inline void blob_put(struct blob *o, size_t at, const void *src, size_t len)
{
	assert_true(at + len <= BLOB_SIZE);
	memcpy(o->b + at, src, len);
	o->len = MAX(o->len, at + len);
}

static inline void blob_put32(struct blob *o, size_t at, uint32_t v)
{
	blob_put(o, at, &v, sizeof(v));
}

static inline void blob_elf(struct blob *o, bool is64, uint64_t entry)
{
	static const uint8_t ident[EI_NIDENT] = {0x7f, 'E', 'L', 'F', 0, ELFDATA2LSB, EV_CURRENT};

	memset(o, 0, sizeof(*o));
	o->is64 = is64;
	if (is64) {
		Elf64_Ehdr e = {.e_type = ET_EXEC,
				.e_machine = EM_X86_64,
				.e_version = EV_CURRENT,
				.e_entry = entry,
				.e_phoff = sizeof(e),
				.e_ehsize = sizeof(e),
				.e_phentsize = sizeof(Elf64_Phdr)};
		memcpy(e.e_ident, ident, sizeof(ident));
		e.e_ident[EI_CLASS] = ELFCLASS64;
		blob_put(o, 0, &e, sizeof(e));
	} else {
		Elf32_Ehdr e = {.e_type = ET_EXEC,
				.e_machine = EM_386,
				.e_version = EV_CURRENT,
				.e_entry = (uint32_t)entry,
				.e_phoff = sizeof(e),
				.e_ehsize = sizeof(e),
				.e_phentsize = sizeof(Elf32_Phdr)};
		memcpy(e.e_ident, ident, sizeof(ident));
		e.e_ident[EI_CLASS] = ELFCLASS32;
		blob_put(o, 0, &e, sizeof(e));
	}
}

static inline void blob_phdr(struct blob *o, Elf64_Phdr p)
{
	if (o->is64) {
		blob_put(o, sizeof(Elf64_Ehdr) + o->phnum * sizeof(p), &p, sizeof(p));
		((Elf64_Ehdr *)(void *)o->b)->e_phnum++;
	} else {
		Elf32_Phdr q = {.p_type = p.p_type,
				.p_offset = (uint32_t)p.p_offset,
				.p_vaddr = (uint32_t)p.p_vaddr,
				.p_paddr = (uint32_t)p.p_paddr,
				.p_filesz = (uint32_t)p.p_filesz,
				.p_memsz = (uint32_t)p.p_memsz,
				.p_align = (uint32_t)p.p_align};
		blob_put(o, sizeof(Elf32_Ehdr) + o->phnum * sizeof(q), &q, sizeof(q));
		((Elf32_Ehdr *)(void *)o->b)->e_phnum++;
	}
	o->phnum++;
}

/* A PT_LOAD of `filesz` bytes of value `fill` at file offset `off`. */
static inline void blob_load(struct blob *o, uint64_t off, uint64_t paddr, uint64_t filesz,
			     uint64_t memsz, uint8_t fill)
{
	assert_true(off + filesz <= BLOB_SIZE);
	memset(o->b + off, fill, filesz);
	o->len = MAX(o->len, off + filesz);
	blob_phdr(o, (Elf64_Phdr){.p_type = PT_LOAD,
				  .p_offset = off,
				  .p_vaddr = paddr,
				  .p_paddr = paddr,
				  .p_filesz = filesz,
				  .p_memsz = memsz});
}

/* A PT_NOTE at `off` with a note of Xen's, type `type`, value `v` in `descsz` bytes. */
static inline void blob_note(struct blob *o, uint64_t off, uint32_t type, uint64_t v,
			     uint32_t descsz)
{
	Elf64_Nhdr n = {.n_namesz = 4, .n_descsz = descsz, .n_type = type};

	blob_put(o, off, &n, sizeof(n));
	blob_put(o, off + sizeof(n), "Xen", 4);
	blob_put(o, off + sizeof(n) + 4, &v, MIN(descsz, sizeof(v)));
	o->len = MAX(o->len, off + sizeof(n) + 4 + descsz);
	blob_phdr(o, (Elf64_Phdr){.p_type = PT_NOTE,
				  .p_offset = off,
				  .p_filesz = sizeof(n) + 4 + descsz,
				  .p_align = 4});
}
