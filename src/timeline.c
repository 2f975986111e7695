/* timeline.c - collects the phases of a run and prints them as JSON, without stdio's buffers: it is
 * written under the loop's seccomp filter. */
#include "timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"

static const char *const phase_name[] = {
	[PHASE_EXEC] = "exec",
	[PHASE_MAIN] = "main",
	[PHASE_VM] = "vm_created",
	[PHASE_RAM] = "ram_mapped",
	[PHASE_VCPU] = "vcpu_created",
	[PHASE_KERNEL] = "kernel_loaded",
	[PHASE_DEVICES] = "devices_opened",
	[PHASE_CONFINED] = "confined",
	[PHASE_ENTRY] = "first_entry",
	[PHASE_EXIT] = "exit",
};
_Static_assert(ARRAY_SIZE(phase_name) == PHASE_N, "a name for every phase");

struct text {
	char buf[16384];
	size_t len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, sizeof(t->buf) - t->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len = MIN(t->len + (size_t)n, sizeof(t->buf) - 1);
}

void timeline_reach_exec(struct timeline *t)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	/* Time off the CPU since main() would put it later than that. */
	t->at[PHASE_EXEC] = MIN(clock_now() - (uint64_t)cpu.tv_sec * NSEC - (uint64_t)cpu.tv_nsec,
				t->at[PHASE_MAIN]);
}

void timeline_open_status(struct timeline *t)
{
	t->proc_status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

/*
 * Peak resident memory. ru_maxrss is no answer: it keeps what the parent had before execve(), the
 * size of a Python for instance.
 */
static unsigned long long peak_rss_kib(const struct timeline *t)
{
	char buf[4096], *p;
	ssize_t n = read(t->proc_status, buf, sizeof(buf) - 1);

	if (n <= 0)
		return 0;
	buf[n] = '\0';
	p = strstr(buf, "VmHWM:");
	return p ? strtoull(p + strlen("VmHWM:"), NULL, 10) : 0;
}

void timeline_reach(struct timeline *t, enum phase p)
{
	t->at[p] = clock_now();
}

void timeline_mark(struct timeline *t, uint8_t val, uint64_t now)
{
	if (t->marks < TIMELINE_MARKS) {
		t->mark[t->marks].at = now;
		t->mark[t->marks].val = val;
	}
	t->marks++;
}

static void add_exits(struct text *t, const struct vm *vm)
{
	uint64_t kicks = 0;
	const char *sep = "";

	add(t, "  \"exits\": {");
	for (unsigned r = 0; r < VCPU_EXITS; r++) {
		const char *name = vm_exit_name(r);
		uint64_t n = 0;

		for (unsigned i = 0; i < vm->cpus; i++)
			n += vm->vcpu[i].exits[r];
		if (!n)
			continue;
		if (name)
			add(t, "%s\"%s\": %llu", sep, name, (unsigned long long)n);
		else
			add(t, "%s\"reason_%u\": %llu", sep, r, (unsigned long long)n);
		sep = ", ";
	}
	for (unsigned i = 0; i < vm->cpus; i++)
		kicks += vm->vcpu[i].kicks;
	add(t, "%s\"kicked\": %llu},\n", sep, (unsigned long long)kicks);
}

/* Rows of one chip stand side by side in the table; their counts are added up. */
static void add_accesses(struct text *t, const char *key,
			 const char *(*row)(const struct board *, unsigned, uint64_t *),
			 const struct board *b, uint64_t missed)
{
	const char *sep = "", *name;
	uint64_t n, sum;

	add(t, "  \"%s\": {", key);
	for (unsigned i = 0; (name = row(b, i, &sum)); i++) {
		const char *other;
		bool earlier = false;

		for (unsigned j = 0; (other = row(b, j, &n)); j++) {
			if (j == i || strcmp(other, name))
				continue;
			earlier |= j < i;
			sum += n;
		}
		if (earlier || !sum)
			continue;
		add(t, "%s\"%s\": %llu", sep, name, (unsigned long long)sum);
		sep = ", ";
	}
	add(t, "%s\"missed\": %llu},\n", sep, (unsigned long long)missed);
}

static void add_devices(struct text *t, const struct devices *ds)
{
	add(t, "  \"devices\": [");
	for (unsigned i = 0; i < ds->n; i++) {
		const struct virtio_dev *d = ds->device[i].dev;

		add(t,
		    "%s\n    {\"name\": \"%s\", \"requests\": %llu, \"notifications\": %llu, "
		    "\"by_exit\": %llu, \"interrupts\": %llu, \"errors\": %llu}",
		    i ? "," : "", d->ops->name, (unsigned long long)d->chains,
		    (unsigned long long)d->kicks, (unsigned long long)d->slow_kicks,
		    (unsigned long long)d->irqs, (unsigned long long)d->errors);
	}
	add(t, "%s],\n", ds->n ? "\n  " : "");
}

int timeline_write(const struct timeline *t, int fd, const struct vm *vm, const struct devices *ds,
		   const char *end, int status, uint64_t loop_wakeups)
{
	static struct text text;
	struct rusage u;

	text.len = 0;
	getrusage(RUSAGE_SELF, &u);
	add(&text, "{\n  \"end\": \"%s\",\n  \"status\": %d,\n  \"phases_ns\": {", end, status);
	for (unsigned p = 0, n = 0; p < PHASE_N; p++)
		if (t->at[p])
			add(&text, "%s\"%s\": %llu", n++ ? ", " : "", phase_name[p],
			    (unsigned long long)t->at[p]);
	add(&text, "},\n  \"marks\": [");
	for (unsigned i = 0; i < MIN(t->marks, TIMELINE_MARKS); i++)
		add(&text, "%s{\"at_ns\": %llu, \"value\": %u}", i ? ", " : "",
		    (unsigned long long)t->mark[i].at, t->mark[i].val);
	add(&text, "],\n  \"marks_seen\": %u,\n", t->marks);
	add_exits(&text, vm);
	add_accesses(&text, "port_accesses", board_pio_row, vm->board, vm->board->pio_missed);
	add_accesses(&text, "mmio_accesses", board_mmio_row, vm->board, vm->board->mmio_missed);
	add_devices(&text, ds);
	add(&text, "  \"console_bytes_dropped\": %llu,\n",
	    (unsigned long long)vm->board->com1.dropped);
	add(&text, "  \"loop_wakeups\": %llu,\n", (unsigned long long)loop_wakeups);
	add(&text, "  \"cpu_user_us\": %llu,\n  \"cpu_system_us\": %llu,\n",
	    (unsigned long long)u.ru_utime.tv_sec * 1000000 +
		    (unsigned long long)u.ru_utime.tv_usec,
	    (unsigned long long)u.ru_stime.tv_sec * 1000000 +
		    (unsigned long long)u.ru_stime.tv_usec);
	add(&text, "  \"peak_rss_kib\": %llu,\n  \"page_faults\": %ld\n}\n", peak_rss_kib(t),
	    u.ru_minflt + u.ru_majflt);
	return write(fd, text.buf, text.len) == (ssize_t)text.len ? 0 : -EIO;
}
