/*
 * seed.c - writes the inputs that loader_fuzz starts from: the smallest bzImage, ELF, PVH and
 * multiboot files that load, each for two scenes.
 */
#include <elf.h>
#include <string.h>

#include "fuzz.h"
#include "loader.h"

#define SEED_MAX 4096u
#define MB_MAGIC 0x1badb002u
#define CODE     0x100u /* bytes of kernel */

static struct {
	uint8_t b[SEED_MAX];
	size_t len;
} img;

static void put(size_t at, unsigned size, uint64_t v)
{
	CHECK(at + size <= SEED_MAX);
	memcpy(img.b + at, &v, size);
	img.len = MAX(img.len, at + size);
}

static void code(size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(at + i, 1, i & 0xff);
}

static void save(const char *dir, const char *name)
{
	static const struct loader_scene scene[] = {
		{.entry = BOOT_AUTO, .ram = 2,    .initrd = 2,  .cmdline = 1},
		{ .entry = BOOT_AUTO | 0x80,          .ram = 5, .initrd = 0, .cmdline = 2,   .cpus = 31},
	};
	char path[4096];
	FILE *f;

	for (unsigned i = 0; i < ARRAY_SIZE(scene); i++) {
		snprintf(path, sizeof(path), "%s/%s-%u", dir, name, i);
		f = fopen(path, "wb");
		CHECK(f && fwrite(&scene[i], sizeof(scene[i]), 1, f) == 1);
		CHECK(fwrite(img.b, img.len, 1, f) == 1 && !fclose(f));
	}
	memset(&img, 0, sizeof(img));
}

static void bzimage(void)
{
	put(0x1f1, 1, 1); /* setup_sects */
	put(0x1f4, 4, 0x400 / 16);
	put(0x1fe, 2, 0xaa55);
	put(0x200, 2, 0x6aeb);
	put(0x202, 4, 0x53726448);
	put(0x206, 2, 0x20f);
	put(0x211, 1, 1);
	put(0x22c, 4, 0x7fffffff);
	put(0x230, 4, 0x200000);
	put(0x234, 1, 1);
	put(0x236, 2, 0x3f);
	put(0x238, 4, 2047);
	put(0x258, 8, 0x1000000);
	put(0x260, 4, 0x100000);
	code(0x400, 0x400);
}

static void elf(bool is64, uint64_t entry)
{
	put(0, 4, 0x464c457f);
	put(EI_CLASS, 1, is64 ? ELFCLASS64 : ELFCLASS32);
	put(EI_DATA, 1, ELFDATA2LSB);
	put(16, 2, ET_EXEC);
	put(18, 2, is64 ? EM_X86_64 : EM_386);
	put(24, is64 ? 8 : 4, entry);
	put(is64 ? 32 : 28, is64 ? 8 : 4, is64 ? 64 : 52);
	put(is64 ? 54 : 42, 2, is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr));
}

static void phdr(bool is64, uint32_t type, uint64_t off, uint64_t paddr, uint64_t filesz,
		 uint64_t memsz)
{
	size_t count = is64 ? 56 : 44;
	Elf64_Phdr p = {.p_type = type,
			.p_offset = off,
			.p_vaddr = paddr + (is64 ? 3 * GIB : 0),
			.p_paddr = paddr,
			.p_filesz = filesz,
			.p_memsz = memsz,
			.p_align = 4};
	Elf32_Phdr q = {.p_type = type,
			.p_offset = (uint32_t)off,
			.p_vaddr = (uint32_t)paddr,
			.p_paddr = (uint32_t)paddr,
			.p_filesz = (uint32_t)filesz,
			.p_memsz = (uint32_t)memsz,
			.p_align = 4};
	size_t at = is64 ? 64 + img.b[count] * sizeof(p) : 52 + img.b[count] * sizeof(q);
	const uint8_t *src = is64 ? (const uint8_t *)&p : (const uint8_t *)&q;

	for (size_t i = 0; i < (is64 ? sizeof(p) : sizeof(q)); i++)
		put(at + i, 1, src[i]);
	img.b[count]++;
}

static void kernel_elf(bool is64, bool pvh)
{
	elf(is64, GPA_HIMEM + 16);
	phdr(is64, PT_LOAD, 0x200, GPA_HIMEM, CODE, 0x3000);
	phdr(is64, PT_LOAD, 0x280, 2 * MIB, 64, 64);
	code(0x200, CODE);
	if (!pvh)
		return;
	phdr(is64, PT_NOTE, 0x1c0, 0, 20, 20);
	put(0x1c0, 4, 4);
	put(0x1c4, 4, 4);
	put(0x1c8, 4, 18); /* XEN_ELFNOTE_PHYS32_ENTRY */
	put(0x1cc, 4, 0x006e6558);
	put(0x1d0, 4, GPA_HIMEM + 32);
}

static void multiboot(size_t at, bool addresses)
{
	uint32_t flags = addresses ? 0x10003 : 3;

	put(at, 4, MB_MAGIC);
	put(at + 4, 4, flags);
	put(at + 8, 4, 0u - MB_MAGIC - flags);
	if (!addresses)
		return;
	put(at + 12, 4, GPA_HIMEM + at);
	put(at + 16, 4, GPA_HIMEM);
	put(at + 20, 4, 0);
	put(at + 24, 4, GPA_HIMEM + 0x2000);
	put(at + 28, 4, GPA_HIMEM + 0x40);
	code(0x40, CODE);
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : ".";

	bzimage();
	save(dir, "bzimage");
	kernel_elf(true, false);
	save(dir, "elf64");
	kernel_elf(true, true);
	save(dir, "pvh64");
	kernel_elf(false, true);
	save(dir, "pvh32");
	kernel_elf(false, false);
	multiboot(0x180, false);
	save(dir, "multiboot-elf");
	multiboot(0, true);
	save(dir, "multiboot");
	return 0;
}
