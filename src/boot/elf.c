/*
 * elf.c - ELF executables [System V gABI 4.1, chapters 4 and 5]. Nothing in a file is believed: all
 * sums are checked before they are made, and all ranges against the file and guest RAM. Sections
 * and relocations are not looked at.
 */
#include "elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../log.h"

#define NOTE_BYTES            4096 /* notes after these are not seen; Linux has about 500 bytes of them */
#define NOTE_XEN_PHYS32_ENTRY 18 /* Xen's public/elfnote.h: 32-bit entry for PVH */

/* Program headers, of ELF32 or ELF64: at most as many as would fill the table of segments. */
union phdrs {
	Elf64_Phdr p64[ELF_SEGMENTS_MAX];
	Elf32_Phdr p32[ELF_SEGMENTS_MAX];
};

/* What of the ELF header is used, of either class. */
struct ehdr {
	uint64_t phoff;
	unsigned phnum, phentsize, type, machine;
};

bool elf_match(const struct image *img)
{
	return img->head_len >= SELFMAG && !memcmp(img->head, ELFMAG, SELFMAG);
}

static int elf_bad(const struct image *img, const char *why)
{
	return log_fail(ENOEXEC, "%s %s: %s", img->what, img->path, why);
}

static int elf_header(const struct image *img, struct elf *elf, struct ehdr *h)
{
	uint8_t ident[EI_NIDENT];
	Elf64_Ehdr e64;
	Elf32_Ehdr e32;
	int err = image_read(img, 0, ident, sizeof(ident));

	if (err)
		return err;
	elf->is64 = ident[EI_CLASS] == ELFCLASS64;
	if (elf->is64) {
		err = image_read(img, 0, &e64, sizeof(e64));
		if (err)
			return err;
		elf->entry = e64.e_entry;
		*h = (struct ehdr){e64.e_phoff, e64.e_phnum, e64.e_phentsize, e64.e_type,
				   e64.e_machine};
	} else {
		err = image_read(img, 0, &e32, sizeof(e32));
		if (err)
			return err;
		elf->entry = e32.e_entry;
		*h = (struct ehdr){e32.e_phoff, e32.e_phnum, e32.e_phentsize, e32.e_type,
				   e32.e_machine};
	}
	if (!elf->is64 && ident[EI_CLASS] != ELFCLASS32)
		return elf_bad(img, "its ELF class is neither 32 nor 64 bit");
	if (ident[EI_DATA] != ELFDATA2LSB || h->machine != (elf->is64 ? EM_X86_64 : EM_386))
		return elf_bad(img, "the ELF file is not for x86; take a kernel built for x86");
	if (h->type != ET_EXEC && h->type != ET_DYN)
		return elf_bad(img, "the ELF file is no executable; link it first");
	if (h->phnum == 0 || h->phnum > ELF_SEGMENTS_MAX)
		return elf_bad(img, "it has no program headers, or more than 64");
	if (h->phentsize != (elf->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return elf_bad(img, "the size of its program headers is wrong");
	return 0;
}

/* Notes are aligned to 4 bytes, or to 8 in segments that say so [gABI 5, Note Section]. */
static void note_scan(struct elf *elf, const uint8_t *p, uint64_t len, uint64_t align)
{
	uint64_t name, desc, next;
	Elf64_Nhdr n; /* 32-bit fields in both classes */

	for (uint64_t at = 0; at < len && len - at >= sizeof(n); at = next) {
		memcpy(&n, p + at, sizeof(n));
		name = at + sizeof(n);
		desc = align_up(name + n.n_namesz, align);
		next = align_up(desc + n.n_descsz, align);
		if (desc > len || n.n_descsz > len - desc)
			return;
		if (n.n_type != NOTE_XEN_PHYS32_ENTRY || n.n_namesz != sizeof("Xen") ||
		    memcmp(p + name, "Xen", sizeof("Xen")))
			continue;
		if (n.n_descsz != 4 && n.n_descsz != 8)
			continue;
		elf->pvh = true;
		elf->pvh_entry = 0;
		memcpy(&elf->pvh_entry, p + desc, n.n_descsz);
	}
}

static int elf_note(const struct image *img, struct elf *elf, const Elf64_Phdr *p)
{
	uint8_t buf[NOTE_BYTES];
	uint64_t len = MIN(p->p_filesz, sizeof(buf));
	int err = image_read(img, p->p_offset, buf, len);

	if (!err)
		note_scan(elf, buf, len, p->p_align == 8 ? 8 : 4);
	return err;
}

static int elf_segment(const struct image *img, struct elf *elf, const Elf64_Phdr *p)
{
	if (p->p_filesz > p->p_memsz)
		return elf_bad(img, "corrupt: a segment is longer in the file than in memory");
	if (p->p_paddr + p->p_memsz < p->p_paddr || p->p_vaddr + p->p_memsz < p->p_vaddr)
		return elf_bad(img, "corrupt: a segment wraps around the end of the address space");
	if (p->p_offset > img->size || p->p_filesz > img->size - p->p_offset)
		return log_fail(ENOEXEC,
				"%s %s: truncated: it has %" PRIu64
				" bytes, and a segment ends after them; fetch it again",
				img->what, img->path, img->size);
	if (p->p_memsz)
		elf->seg[elf->n++] = (struct elf_segment){p->p_paddr, p->p_vaddr, p->p_offset,
							  p->p_filesz, p->p_memsz};
	return 0;
}

/* Program header `i` in the 64-bit form. */
static Elf64_Phdr phdr_get(const union phdrs *t, bool is64, unsigned i)
{
	const Elf32_Phdr *p = &t->p32[i];

	if (is64)
		return t->p64[i];
	return (Elf64_Phdr){.p_type = p->p_type,
			    .p_flags = p->p_flags,
			    .p_offset = p->p_offset,
			    .p_vaddr = p->p_vaddr,
			    .p_paddr = p->p_paddr,
			    .p_filesz = p->p_filesz,
			    .p_memsz = p->p_memsz,
			    .p_align = p->p_align};
}

int elf_parse(const struct image *img, struct elf *elf)
{
	union phdrs table;
	struct ehdr h;
	int err;

	elf->n = 0;
	elf->pvh = false;
	err = elf_header(img, elf, &h);
	if (!err)
		err = image_read(img, h.phoff, &table, h.phnum * h.phentsize);
	for (unsigned i = 0; !err && i < h.phnum; i++) {
		Elf64_Phdr p = phdr_get(&table, elf->is64, i);

		if (p.p_type == PT_LOAD)
			err = elf_segment(img, elf, &p);
		else if (p.p_type == PT_NOTE)
			err = elf_note(img, elf, &p);
	}
	if (!err && !elf->n)
		err = elf_bad(img, "it has no segment to load; take a linked executable");
	return err;
}

int elf_load(const struct elf *elf, struct load *l)
{
	int err;

	/* All claims first: a file that cannot be loaded leaves RAM untouched. */
	for (unsigned i = 0; i < elf->n; i++) {
		err = load_take(l, elf->seg[i].paddr, elf->seg[i].memsz, "a segment");
		if (err)
			return err;
	}
	for (unsigned i = 0; i < elf->n; i++) {
		const struct elf_segment *s = &elf->seg[i];

		err = s->filesz ? load_read(l, &l->kernel, s->off, s->paddr, s->filesz) : 0;
		if (err)
			return err;
	}
	return 0;
}

int elf_locate(const struct elf *elf, const struct load *l, uint64_t entry, uint64_t *gpa)
{
	*gpa = entry;
	/* Physical first: Linux's per-CPU segment has virtual address 0. */
	for (unsigned i = 0; i < elf->n; i++)
		if (entry - elf->seg[i].paddr < elf->seg[i].filesz)
			return 0;
	for (unsigned i = 0; i < elf->n; i++)
		if (entry - elf->seg[i].vaddr < elf->seg[i].filesz) {
			*gpa = entry - elf->seg[i].vaddr + elf->seg[i].paddr;
			return 0;
		}
	return log_fail(ENOEXEC,
			"kernel %s: its entry point %#" PRIx64
			" is outside of what was loaded; link it with a valid one",
			l->kernel.path, entry);
}
