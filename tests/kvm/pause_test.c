/*
 * pause_test.c - vm_pause() and vm_resume() a thousand times while a guest is busy: between them
 * no vCPU changes its state, and afterwards no tick, byte or register access is missing. The
 * board's time goes on meanwhile, in a thread that stands for the event loop.
 *
 *   pause_test IMAGES...   77 without /dev/kvm; TAP
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "../../src/clock.h"
#include "../../src/kvm/vm.h"

#define PAUSES   1000
#define CONSOLE  (16 * MIB)
#define LIMIT_NS (100 * NSEC)

static struct machine {
	struct vm vm;
	struct ram ram;
	struct board board;
	struct board_host host;
	uint8_t mmio[TEST_MMIO_SIZE];
	pthread_t loop;
	atomic_bool stop;
	char *console;
	size_t len;
} * m;

static unsigned tests, failures;
static atomic_uint inta_ticks;

/* Vectors of IRQ 0 that the 8259 gave out: the linker puts this before board_inta(). */
bool __real_board_inta(struct board *b, uint8_t *vector, uint64_t now);
bool __wrap_board_inta(struct board *b, uint8_t *vector, uint64_t now);
bool __wrap_board_inta(struct board *b, uint8_t *vector, uint64_t now)
{
	bool raised = __real_board_inta(b, vector, now);

	if (raised && *vector == 0x20)
		atomic_fetch_add(&inta_ticks, 1);
	return raised;
}

static void check(bool good, const char *what)
{
	printf("%s %u - %s\n", good ? "ok" : "not ok", ++tests, what);
	fflush(stdout);
	failures += !good;
}

static _Noreturn void die(const char *what)
{
	printf("Bail out! %s\n", what);
	exit(1);
}

static void host_arm(void *ctx, uint64_t deadline)
{
}

static void host_power(void *ctx, enum power_event ev)
{
	vm_end(&m->vm, VM_RESET, 0);
}

static void host_mark(void *ctx, uint8_t val, uint64_t now)
{
}

static void host_quit(void *ctx, uint8_t status)
{
	vm_end(&m->vm, VM_QUIT, status);
}

static void host_flush(void *ctx, uint64_t gpa)
{
}

static void drain(void)
{
	const uint8_t *p;
	size_t n;

	while ((n = board_tx_peek(&m->board, &p, true, clock_now()))) {
		if (m->len + n >= CONSOLE)
			die("the guest does not end");
		memcpy(m->console + m->len, p, n);
		m->len += n;
		board_tx_done(&m->board, n, clock_now());
	}
}

/* Polls: a deadline is met at most 200 us late. */
static void *loop(void *arg)
{
	const struct timespec nap = {.tv_nsec = 200000};

	while (!atomic_load(&m->stop)) {
		board_tick(&m->board, clock_now());
		drain();
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static void start(const char *image, const char *cmdline, unsigned cpus)
{
	const struct vm_conf vc = {.cpus = cpus};
	const struct boot_conf bc = {.kernel = image, .cmdline = cmdline, .cpus = cpus};
	struct board_conf conf = {.cpus = cpus, .test_device = true};
	struct boot_entry entry;

	m = calloc(1, sizeof(*m));
	m->console = malloc(CONSOLE);
	if (vm_create(&m->vm, &vc) || ram_map(&m->ram, 64 * MIB, RAM_PAGES_DEFAULT) ||
	    vm_set_ram(&m->vm, &m->ram) || vm_create_vcpus(&m->vm, &vc) ||
	    boot_load(&bc, &m->ram, &entry))
		die("the machine cannot be created");
	m->host = (struct board_host){.arm = host_arm,
				      .power = host_power,
				      .mark = host_mark,
				      .quit = host_quit,
				      .flush_page = host_flush};
	vm_sink(&m->vm, &m->host.sink);
	conf.low_ram = m->ram.low;
	conf.test_mmio = m->mmio;
	board_init(&m->board, &conf, &m->host, clock_now());
	vm_set_entry(&m->vm, &entry);
	if (vm_start_threads(&m->vm, &m->board, NULL))
		die("no threads");
	pthread_create(&m->loop, NULL, loop, NULL);
	atomic_store(&inta_ticks, 0);
}

/* Its threads were joined by finish(). */
static void drop(void)
{
	free(m->console);
	free(m);
	m = NULL;
}

static bool running(void)
{
	int detail;

	return vm_ended(&m->vm, &detail) == VM_RUNNING;
}

/* The status that the guest gave the test device; -1 for any other end. */
static int finish(void)
{
	uint64_t limit = clock_now() + LIMIT_NS;
	int detail;
	enum vm_end end;

	while (running() && clock_now() < limit)
		usleep(1000);
	end = vm_ended(&m->vm, &detail);
	check(vm_join(&m->vm), "the vCPU threads end within a second");
	atomic_store(&m->stop, true);
	pthread_join(m->loop, NULL);
	drain();
	m->console[m->len] = 0;
	for (unsigned i = 0; i < m->vm.cpus; i++)
		close(m->vm.vcpu[i].fd);
	close(m->vm.fd);
	close(m->vm.kvm);
	ram_unmap(&m->ram);
	return end == VM_QUIT ? detail : -1;
}

struct state {
	struct kvm_regs regs;
	struct kvm_mp_state mp;
};

static void get_state(unsigned cpu, struct state *s)
{
	memset(s, 0, sizeof(*s));
	/* In this order: KVM carries out an INIT or a SIPI that is pending when asked for the MP
	 * state, and that resets the registers. */
	if (ioctl(m->vm.vcpu[cpu].fd, KVM_GET_MP_STATE, &s->mp) < 0 ||
	    ioctl(m->vm.vcpu[cpu].fd, KVM_GET_REGS, &s->regs) < 0)
		die("KVM_GET_REGS");
}

static uint64_t accesses(void)
{
	uint64_t n = m->board.pio_missed + m->board.mmio_missed;

	for (unsigned i = 0; i < BOARD_ROWS; i++)
		n += m->board.pio_count[i] + m->board.mmio_count[i];
	return n;
}

/* One pause; what changed in it is counted. Registers are put back as a snapshot would. */
static void pause_once(unsigned n, unsigned *moved, unsigned *ran)
{
	struct state before[MAX_CPUS], after;
	uint64_t exits, done;

	vm_pause(&m->vm);
	exits = vm_exits(&m->vm);
	pthread_mutex_lock(&m->board.lock.mutex);
	done = accesses();
	pthread_mutex_unlock(&m->board.lock.mutex);
	for (unsigned i = 0; i < m->vm.cpus; i++)
		get_state(i, &before[i]);
	usleep(n % 8 == 0 ? 2000 : 50);
	for (unsigned i = 0; i < m->vm.cpus; i++) {
		get_state(i, &after);
		*moved += memcmp(&before[i], &after, sizeof(after)) != 0;
		if (n % 2 && ioctl(m->vm.vcpu[i].fd, KVM_SET_REGS, &after.regs) < 0)
			die("KVM_SET_REGS");
	}
	pthread_mutex_lock(&m->board.lock.mutex);
	*ran += accesses() != done;
	pthread_mutex_unlock(&m->board.lock.mutex);
	*ran += vm_exits(&m->vm) != exits;
	vm_resume(&m->vm);
}

/* True if the console is the alphabet over and over, then "\nN ticks\nok\n"; gives N. */
static bool letters_then_ticks(unsigned *n)
{
	size_t i = 0;

	while (m->console[i] == (char)('A' + i % 26))
		i++;
	return i > 1000 && sscanf(m->console + i, "\n%u ticks\nok\n", n) == 1;
}

static void busy_guest(const char *image)
{
	unsigned moved = 0, ran = 0, ticks = 0, paused = 0;
	uint8_t stop = '.';
	int status;

	start(image, "", 1);
	vm_pause(&m->vm); /* before the first entry: the vCPU waits for the first resume */
	check(vm_exits(&m->vm) == 0, "a VM that was never resumed is paused");
	vm_resume(&m->vm);
	vm_resume(&m->vm); /* once more changes nothing */
	for (; paused < PAUSES && running(); paused++) {
		pause_once(paused, &moved, &ran);
		if (paused % 4)
			usleep(paused * 7 % 1500); /* else at once again */
	}
	check(paused == PAUSES, "the guest survives a thousand pauses");
	check(moved == 0, "registers stand still between pause and resume");
	check(ran == 0, "no exit and no access happens between pause and resume");
	board_rx(&m->board, &stop, 1, clock_now());
	status = finish();
	check(status == 33, "every read gave what was written before it");
	check(letters_then_ticks(&ticks), "no byte is lost or sent twice");
	check(ticks > 100 && ticks == atomic_load(&inta_ticks),
	      "every tick that the 8259 gave out was handled once");
	printf("# %u ticks handled, %u given out; %zu bytes\n", ticks, atomic_load(&inta_ticks),
	       m->len);
	if (status != 33)
		printf("# status %d, console ends in \"%s\"\n", status,
		       m->console + (m->len > 80 ? m->len - 80 : 0));
	drop();
}

static void smp_guest(const char *image, unsigned cpus)
{
	unsigned moved = 0, ran = 0, n = 0;
	char cmdline[16];
	int status;

	snprintf(cmdline, sizeof(cmdline), "cpus=%u", cpus);
	start(image, cmdline, cpus);
	vm_resume(&m->vm);
	while (running()) {
		pause_once(n++, &moved, &ran);
		usleep(300);
	}
	vm_pause(&m->vm); /* of threads that have ended: must return */
	status = finish();
	check(status == 33, "CPUs start, take turns and wake under pauses");
	check(moved == 0, "no vCPU's registers change between pause and resume");
	printf("# %u pauses of %u vCPUs\n", n, cpus);
	if (status != 33)
		printf("# status %d, console \"%s\"\n", status, m->console);
	drop();
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("1..0 # SKIP /dev/kvm is missing or not writable\n");
		return 77;
	}
	busy_guest(argv[1]);
	smp_guest(argv[2], 4);
	printf("1..%u\n", tests);
	return failures != 0;
}
