/*
 * start.c - times short commands against each other: how long from spawn to reaped, and how much
 * CPU time, per run. Runs alternate, the order turns round every round, and the first command is
 * the base of every ratio; so a drift of the machine meets all of them alike.
 *
 * Usage: start [-n RUNS] [-w WARM-UPS] [-s STATUS] [-j JSON] NAME=COMMAND...
 * A command is split at blanks and looked up on PATH. Its output goes to /dev/null; an exit status
 * other than STATUS (0) ends the whole run, since a failure is not a time.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 16
#define WORDS_MAX    64
#define USEC         1e6

extern char **environ;

struct command {
	const char *name;
	char *argv[WORDS_MAX + 1];
	double *wall_us, *cpu_us; /* one per run, in the order of the rounds */
	double *wall_ratio, *cpu_ratio;
	long faults; /* of the last run; a peak RSS would start at this process's own */
};

struct quantiles {
	double p10, median, p90;
};

static unsigned runs = 200, warm_ups = 20, expected;
static posix_spawn_file_actions_t quiet;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * USEC + (double)t.tv_nsec / 1e3;
}

static double timeval_us(struct timeval t)
{
	return (double)t.tv_sec * USEC + (double)t.tv_usec;
}

/* One run. posix_spawn is a vfork in glibc, so what this process maps costs the child nothing. */
static void measure(struct command *c, unsigned run, bool keep)
{
	struct rusage use;
	double start = now_us(), wall;
	int status, e;
	pid_t pid;

	e = posix_spawnp(&pid, c->argv[0], &quiet, NULL, c->argv, environ);
	if (e)
		errx(1, "%s: %s: %s", c->name, c->argv[0], strerror(e));
	while (wait4(pid, &status, 0, &use) < 0)
		if (errno != EINTR)
			err(1, "wait4");
	wall = now_us() - start;
	if (!WIFEXITED(status) || (unsigned)WEXITSTATUS(status) != expected)
		errx(1, "%s: ended with %s %d in run %u, not with status %u", c->name,
		     WIFEXITED(status) ? "status" : "signal",
		     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), run, expected);
	if (!keep)
		return;
	c->wall_us[run] = wall;
	c->cpu_us[run] = timeval_us(use.ru_utime) + timeval_us(use.ru_stime);
	c->faults = use.ru_minflt + use.ru_majflt;
}

static void rounds(struct command *c, unsigned count, unsigned n, bool keep)
{
	for (unsigned run = 0; run < n; run++)
		for (unsigned i = 0; i < count; i++)
			measure(&c[run % 2 ? count - 1 - i : i], run, keep);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct quantiles quantiles(const double *v)
{
	double *sorted = calloc(runs, sizeof(*v));
	struct quantiles q;

	if (!sorted)
		err(1, "%u runs", runs);
	memcpy(sorted, v, runs * sizeof(*v));
	qsort(sorted, runs, sizeof(*v), compare);
	q.p10 = sorted[runs / 10];
	q.median = (sorted[(runs - 1) / 2] + sorted[runs / 2]) / 2;
	q.p90 = sorted[runs - 1 - runs / 10];
	free(sorted);
	return q;
}

static void split(struct command *c, char *arg)
{
	char *words = strchr(arg, '=');
	unsigned n = 0;

	if (!words || words == arg)
		errx(2, "%s: not NAME=COMMAND", arg);
	*words++ = 0;
	c->name = arg;
	for (char *w = strtok(words, " "); w; w = strtok(NULL, " ")) {
		if (n == WORDS_MAX)
			errx(2, "%s: more than %u words", c->name, WORDS_MAX);
		c->argv[n++] = w;
	}
	if (!n)
		errx(2, "%s: no command", c->name);
	c->wall_us = calloc(4 * (size_t)runs, sizeof(double));
	if (!c->wall_us)
		err(1, "%u runs", runs);
	c->cpu_us = c->wall_us + runs;
	c->wall_ratio = c->cpu_us + runs;
	c->cpu_ratio = c->wall_ratio + runs;
}

/* Ratios within a round; their median says more than the ratio of two medians when times drift. */
static void pair(struct command *c, const struct command *base)
{
	for (unsigned i = 0; i < runs; i++) {
		c->wall_ratio[i] = c->wall_us[i] / base->wall_us[i];
		c->cpu_ratio[i] = base->cpu_us[i] > 0 ? c->cpu_us[i] / base->cpu_us[i] : 0;
	}
}

static void table(const struct command *c, unsigned count)
{
	printf("%-16s %9s %9s %9s %9s %7s %7s %7s\n", "times in us", "wall p10", "median", "p90",
	       "cpu", "x wall", "x cpu", "faults");
	for (unsigned i = 0; i < count; i++) {
		struct quantiles w = quantiles(c[i].wall_us);

		printf("%-16s %9.0f %9.0f %9.0f %9.0f %7.2f %7.2f %7ld\n", c[i].name, w.p10,
		       w.median, w.p90, quantiles(c[i].cpu_us).median,
		       quantiles(c[i].wall_ratio).median, quantiles(c[i].cpu_ratio).median,
		       c[i].faults);
	}
}

static void json_quantiles(FILE *f, const char *key, struct quantiles q)
{
	fprintf(f, "\"%s\": {\"p10\": %.3f, \"median\": %.3f, \"p90\": %.3f}, ", key, q.p10,
		q.median, q.p90);
}

static void json(const char *path, const struct command *c, unsigned count)
{
	FILE *f = fopen(path, "we");

	if (!f)
		err(1, "%s", path);
	fprintf(f, "{\"runs\": %u, \"base\": \"%s\", \"commands\": [\n", runs, c[0].name);
	for (unsigned i = 0; i < count; i++) {
		fprintf(f, "  {\"name\": \"%s\", ", c[i].name);
		json_quantiles(f, "wall_us", quantiles(c[i].wall_us));
		json_quantiles(f, "cpu_us", quantiles(c[i].cpu_us));
		json_quantiles(f, "wall_ratio", quantiles(c[i].wall_ratio));
		json_quantiles(f, "cpu_ratio", quantiles(c[i].cpu_ratio));
		fprintf(f, "\"faults\": %ld}%s\n", c[i].faults, i + 1 < count ? "," : "");
	}
	fprintf(f, "]}\n");
	if (fclose(f))
		err(1, "%s", path);
}

static unsigned number(const char *text, unsigned long max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || end == text || v > max)
		errx(2, "%s: not a number up to %lu", text, max);
	return (unsigned)v;
}

int main(int argc, char **argv)
{
	static struct command commands[COMMANDS_MAX];
	const char *json_path = NULL;
	unsigned count;
	int opt;

	while ((opt = getopt(argc, argv, "n:w:s:j:")) != -1) {
		switch (opt) {
		case 'n': runs = number(optarg, 1000000); break;
		case 'w': warm_ups = number(optarg, 1000000); break;
		case 's': expected = number(optarg, 255); break;
		case 'j': json_path = optarg; break;
		default: return 2;
		}
	}
	count = (unsigned)(argc - optind);
	if (!runs || !count || count > COMMANDS_MAX)
		errx(2,
		     "usage: start [-n RUNS] [-w WARM-UPS] [-s STATUS] [-j JSON] NAME=COMMAND...");
	for (unsigned i = 0; i < count; i++)
		split(&commands[i], argv[optind + (int)i]);
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	rounds(commands, count, warm_ups, false);
	rounds(commands, count, runs, true);
	for (unsigned i = 0; i < count; i++)
		pair(&commands[i], &commands[0]);
	table(commands, count);
	if (json_path)
		json(json_path, commands, count);
	return 0;
}
