/*
 * elf.h - ELF64 and ELF32 executables, loaded by physical address.
 */
#pragma once
#include "load.h"

struct elf_segment {
	uint64_t paddr, vaddr, off, filesz, memsz; /* of a PT_LOAD with memsz > 0 */
};

#define ELF_SEGMENTS_MAX 64

struct elf {
	bool is64;
	uint64_t entry; /* as in the header: virtual or physical */
	bool pvh;       /* has a note with a PVH entry point: */
	uint64_t pvh_entry;
	unsigned n;
	struct elf_segment seg[ELF_SEGMENTS_MAX];
};

/* True if the image's head starts like an ELF file. */
bool elf_match(const struct image *img);

/*
 * Reads headers and notes into `elf`. 0, or -errno with the cause logged: -ENOEXEC for what is no
 * little-endian x86 executable, has no segment to load or contradicts itself.
 */
int elf_parse(const struct image *img, struct elf *elf);

/*
 * Claims the segments' memory and reads them. RAM is zero, so .bss takes no writing, only its
 * place. 0, or -errno with the cause logged: -E2BIG outside RAM, -ENOEXEC for segments that overlap
 * each other or what is claimed, or a file that is truncated.
 */
int elf_load(const struct elf *elf, struct load *l);

/*
 * Guest-physical address of an entry point, given as such or as a virtual address inside a segment.
 * -ENOEXEC with the cause logged when it does not point to loaded bytes.
 */
int elf_locate(const struct elf *elf, const struct load *l, uint64_t entry, uint64_t *gpa);
