/*
 * client.c - what bench/api measures with: a client of Firecracker's interface that costs little
 * itself. Monitors are measured in turn, the order turns round every round, and the first command
 * is the base of every ratio.
 *
 * Usage: client ready [-n RUNS] NAME=COMMAND...      exec to the answer to GET /
 *        client start [-n RUNS] -k IMAGE ...         InstanceStart to the guest's mark
 *        client gets [-n GETS] ...                   GET /, one after the other on one connection
 *        client many [-n VMS] -k IMAGE NAME=COMMAND  so many at once, from exec to all marks; then
 *                                                    their process ids, until stdin ends
 *        client serve --api-sock PATH                the least that can be measured by ready and
 * gets A command is split at blanks and looked up on PATH; --api-sock is added. One that is called
 * floor has for start no API: it starts when it reads a byte. The mark is the log line of the boot
 * timer.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MONITORS_MAX 8
#define VMS_MAX      256
#define WORDS_MAX    32
#define BLOCK        50 /* GETs in a row before it is another's turn */
#define WARM_UPS     5
#define USEC         1e6
#define PATIENCE_US  30e6
#define MARK         "Guest-boot-time"

extern char **environ;

struct process {
	pid_t pid;
	int in, out, sock; /* its stdin and stdout, and the connection to its API */
	double start_us;
	char path[64];
};

struct monitor {
	const char *name;
	char *argv[WORDS_MAX + 3];
	unsigned words;
	bool floor;
	double *us, *cpu_us, *ratio;
};

static unsigned runs = 200;
static const char *image;
static char dir[32];

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * USEC + (double)t.tv_nsec / 1e3;
}

/* --- processes --- */

/* Without `heard`, what it prints is lost, and must be: monitors log each request. */
static void spawn(const struct monitor *m, struct process *p, bool heard)
{
	static unsigned serial;
	posix_spawn_file_actions_t files;
	int in[2], out[2], e;
	char *argv[WORDS_MAX + 3];

	memcpy(argv, m->argv, sizeof(argv));
	*p = (struct process){.sock = -1};
	snprintf(p->path, sizeof(p->path), "%s/%u", dir, serial++);
	if (!m->floor) {
		argv[m->words] = "--api-sock";
		argv[m->words + 1] = p->path;
	}
	out[0] = -1;
	out[1] = heard ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (pipe2(in, O_CLOEXEC) || (heard && pipe2(out, O_CLOEXEC)))
		err(1, "pipe");
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in[0], 0);
	posix_spawn_file_actions_adddup2(&files, out[1], 1);
	p->start_us = now_us();
	e = posix_spawnp(&p->pid, argv[0], &files, NULL, argv, environ);
	if (e)
		errx(1, "%s: %s: %s", m->name, argv[0], strerror(e));
	posix_spawn_file_actions_destroy(&files);
	close(in[0]);
	close(out[1]);
	p->in = in[1];
	p->out = out[0];
}

/* CPU time that it took. */
static double end(struct process *p)
{
	struct rusage use;
	int status;

	kill(p->pid, SIGKILL);
	while (wait4(p->pid, &status, 0, &use) < 0)
		if (errno != EINTR)
			err(1, "wait4");
	close(p->in);
	close(p->out);
	if (p->sock >= 0)
		close(p->sock);
	unlink(p->path);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * USEC +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* --- the API --- */

/* Until the monitor listens; asks every 10 us or so, which leaves it a CPU. */
static void reach(struct process *p)
{
	const struct timespec soon = {.tv_nsec = 10000};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	strcpy(sa.sun_path, p->path);
	p->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->sock < 0)
		err(1, "socket");
	while (connect(p->sock, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno != ENOENT && errno != ECONNREFUSED)
			err(1, "%s", p->path);
		if (now_us() - p->start_us > PATIENCE_US)
			errx(1, "%s: nobody listens", p->path);
		nanosleep(&soon, NULL);
	}
}

static void ask(const struct process *p, const char *method, const char *path, const char *body)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path);

	if (body)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			      strlen(body), body);
	else
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
	if (n >= (int)sizeof(text) || send(p->sock, text, (size_t)n, MSG_NOSIGNAL) != n)
		err(1, "%s %s", method, path);
}

/* Answers of these sizes come in one piece. */
static void answer(const struct process *p)
{
	char text[1024];
	ssize_t n = recv(p->sock, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	if (strncmp(text, "HTTP/1.1 20", strlen("HTTP/1.1 20")) != 0)
		errx(1, "the API says: %s", text);
}

static void call(const struct process *p, const char *method, const char *path, const char *body)
{
	ask(p, method, path, body);
	answer(p);
}

/* The steps of a client that starts a machine, so that many can be at the same one. */
static void step(const struct process *p, unsigned n)
{
	char body[512];

	switch (n) {
	case 0:
		ask(p, "PUT", "/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 128}");
		break;
	case 1:
		snprintf(body, sizeof(body), "{\"kernel_image_path\": \"%s\", \"boot_args\": \"\"}",
			 image);
		ask(p, "PUT", "/boot-source", body);
		break;
	default: ask(p, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}"); break;
	}
}

#define STEPS 3

/* Reads the monitor's output until the guest has made its mark. */
static void await_mark(const struct process *p)
{
	char text[8192];
	size_t have = 0;

	do {
		ssize_t n = read(p->out, text + have, sizeof(text) - 1 - have);

		if (n <= 0)
			errx(1, "no mark, but: %s", text);
		have += (size_t)n;
		text[have] = '\0';
	} while (!strstr(text, MARK));
}

/* One connection, one answer to all. */
static int serve(const char *path)
{
	static const char ok[] = "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n";
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	char text[1024];

	if (strlen(path) >= sizeof(sa.sun_path))
		errx(2, "%s: too long", path);
	strcpy(sa.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 1))
		err(1, "%s", path);
	peer = accept(fd, NULL, NULL);
	while (recv(peer, text, sizeof(text), 0) > 0)
		if (send(peer, ok, strlen(ok), MSG_NOSIGNAL) < 0)
			break;
	return 0;
}

/* --- what is measured --- */

static void once_ready(struct monitor *m, struct process *p)
{
	reach(p);
	call(p, "GET", "/", NULL);
}

static double once_start(struct monitor *m, struct process *p)
{
	double start;

	if (!m->floor) {
		reach(p);
		for (unsigned i = 0; i + 1 < STEPS; i++) {
			step(p, i);
			answer(p);
		}
	} else {
		usleep(5000); /* until it waits for the byte */
	}
	start = now_us();
	if (m->floor && write(p->in, "", 1) != 1)
		err(1, "%s", m->name);
	if (!m->floor)
		step(p, STEPS - 1);
	await_mark(p);
	return now_us() - start;
}

static void measure(struct monitor *m, unsigned run, bool keep, bool start)
{
	struct process p;
	double us, cpu;

	spawn(m, &p, start);
	if (start) {
		us = once_start(m, &p);
	} else {
		once_ready(m, &p);
		us = now_us() - p.start_us;
	}
	cpu = end(&p);
	if (keep) {
		m->us[run] = us;
		m->cpu_us[run] = cpu;
	}
}

static void rounds(struct monitor *m, unsigned count, unsigned n, bool keep, bool start)
{
	for (unsigned run = 0; run < n; run++)
		for (unsigned i = 0; i < count; i++)
			measure(&m[run % 2 ? count - 1 - i : i], run, keep, start);
}

static void gets(struct monitor *m, unsigned count)
{
	struct process p[MONITORS_MAX];

	for (unsigned i = 0; i < count; i++) {
		spawn(&m[i], &p[i], false);
		once_ready(&m[i], &p[i]);
	}
	for (unsigned done = 0; done < runs; done++)
		for (unsigned i = 0; done % BLOCK == 0 && i < count; i++)
			for (unsigned n = done; n < done + BLOCK && n < runs; n++) {
				double start = now_us();

				call(&p[i], "GET", "/", NULL);
				m[i].us[n] = now_us() - start;
			}
	for (unsigned i = 0; i < count; i++)
		m[i].cpu_us[0] = end(&p[i]) / runs; /* all of it, with the start */
}

static void many(struct monitor *m)
{
	static struct process p[VMS_MAX];
	double start = now_us(), cpu = 0;

	for (unsigned i = 0; i < runs; i++)
		spawn(m, &p[i], true);
	for (unsigned i = 0; i < runs; i++)
		reach(&p[i]);
	for (unsigned n = 0; n < STEPS; n++) {
		for (unsigned i = 0; i < runs; i++)
			step(&p[i], n);
		for (unsigned i = 0; i < runs; i++)
			answer(&p[i]);
	}
	for (unsigned i = 0; i < runs; i++)
		await_mark(&p[i]);
	printf("%.0f\n", now_us() - start);
	for (unsigned i = 0; i < runs; i++)
		printf("%d\n", p[i].pid);
	fflush(stdout);
	getchar();
	for (unsigned i = 0; i < runs; i++)
		cpu += end(&p[i]);
	printf("%.0f\n", cpu);
}

/* --- figures --- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void table(struct monitor *m, unsigned count, bool cpu)
{
	const unsigned percent[] = {0, 10, 50, 90, 99};

	for (unsigned i = 0; i < count; i++) {
		for (unsigned n = 0; n < runs; n++)
			m[i].ratio[n] = m[i].us[n] / m[0].us[n];
		qsort(m[i].ratio, runs, sizeof(double), compare);
	}
	printf("%-16s %9s %9s %9s %9s %9s %9s %9s\n", "times in us", "min", "p10", "median", "p90",
	       "p99", "x median", cpu ? "cpu" : "");
	for (unsigned i = 0; i < count; i++) {
		qsort(m[i].us, runs, sizeof(double), compare);
		qsort(m[i].cpu_us, runs, sizeof(double), compare);
		printf("%-16s", m[i].name);
		for (unsigned k = 0; k < sizeof(percent) / sizeof(percent[0]); k++)
			printf(" %9.1f", m[i].us[percent[k] * (runs - 1) / 100]);
		printf(" %9.2f", m[i].ratio[runs / 2]);
		if (cpu)
			printf(" %9.0f", m[i].cpu_us[runs / 2]);
		printf("\n");
	}
}

static void split(struct monitor *m, char *arg, bool start)
{
	char *words = strchr(arg, '=');

	if (!words || words == arg)
		errx(2, "%s: not NAME=COMMAND", arg);
	*words++ = '\0';
	m->name = arg;
	m->floor = start && !strcmp(arg, "floor");
	for (char *w = strtok(words, " "); w; w = strtok(NULL, " ")) {
		if (m->words == WORDS_MAX)
			errx(2, "%s: more than %u words", m->name, WORDS_MAX);
		m->argv[m->words++] = w;
	}
	m->us = calloc(3 * (size_t)runs, sizeof(double));
	if (!m->us || !m->words)
		errx(2, "%s: no command, or no memory", m->name);
	m->cpu_us = m->us + runs;
	m->ratio = m->cpu_us + runs;
}

static void measure_all(const char *what, struct monitor *m, unsigned count)
{
	bool start = !strcmp(what, "start");

	if (start || !strcmp(what, "ready")) {
		rounds(m, count, WARM_UPS, false, start);
		rounds(m, count, runs, true, start);
		table(m, count, true);
	} else if (!strcmp(what, "gets")) {
		gets(m, count);
		table(m, count, false);
	} else if (!strcmp(what, "many") && count == 1 && runs <= VMS_MAX) {
		many(m);
	} else {
		errx(2, "%s: see client.c", what);
	}
}

int main(int argc, char **argv)
{
	static struct monitor m[MONITORS_MAX];
	unsigned count;
	int opt;

	if (argc == 4 && !strcmp(argv[1], "serve"))
		return serve(argv[3]);
	while ((opt = getopt(argc, argv, "n:k:")) != -1) {
		switch (opt) {
		case 'n': runs = (unsigned)atoi(optarg); break;
		case 'k': image = optarg; break;
		default: return 2;
		}
	}
	count = (unsigned)(argc - optind - 1);
	if (!runs || argc - optind < 2 || count > MONITORS_MAX)
		errx(2, "usage: client ready|start|gets|many [-n N] [-k IMAGE] NAME=COMMAND...");
	for (unsigned i = 0; i < count; i++)
		split(&m[i], argv[optind + 1 + (int)i], !strcmp(argv[optind], "start"));
	prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
	strcpy(dir, "/dev/shm/minnow-bench.XXXXXX");
	if (!mkdtemp(dir))
		err(1, "%s", dir);
	measure_all(argv[optind], m, count);
	rmdir(dir);
	return 0;
}
