/*
 * replay.c - runs inputs through a target without libFuzzer: files, all files of directories, and
 * all members of ar archives, which is how corpora are kept. Prints how many there were.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define AR_MAGIC  "!<arch>\n"
#define AR_HEADER 60u /* name 16, date 12, uid 6, gid 6, mode 8, size 10, end 2 */
#define AR_SIZE   48u
#define PATH_LEN  4096

static unsigned runs;

/* On a heap block of just that size, so that a sanitizer sees reads beyond it. */
static void run(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	CHECK(copy);
	memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	runs++;
}

static void run_archive(const uint8_t *p, size_t n)
{
	size_t at = strlen(AR_MAGIC);

	while (at + AR_HEADER <= n) {
		char digits[11] = {0};
		size_t len;

		memcpy(digits, p + at + AR_SIZE, 10);
		len = strtoul(digits, NULL, 10);
		CHECK(len <= n - at - AR_HEADER);
		if (memcmp(p + at, "/ ", 2) && memcmp(p + at, "//", 2)) /* index, long names */
			run(p + at + AR_HEADER, len);
		at += AR_HEADER + len + len % 2;
	}
}

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p;
	size_t n;
	long size;

	CHECK(f && fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0);
	rewind(f);
	p = malloc((size_t)size + 1);
	CHECK(p);
	n = fread(p, 1, (size_t)size, f);
	fclose(f);
	if (n >= strlen(AR_MAGIC) && !memcmp(p, AR_MAGIC, strlen(AR_MAGIC)))
		run_archive(p, n);
	else
		run(p, n);
	free(p);
}

static void run_path(const char *path)
{
	struct stat st;
	struct dirent *e;
	char sub[PATH_LEN];
	DIR *d;

	if (stat(path, &st) < 0)
		return; /* a target that has no such corpus */
	if (!S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	d = opendir(path);
	CHECK(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		CHECK(snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name) < (int)sizeof(sub));
		run_file(sub);
	}
	closedir(d);
}

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

/* For targets with a mutator of their own, which nothing calls here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
	return size;
}

int main(int argc, char **argv)
{
	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%u inputs\n", runs);
	return 0;
}
