/*
 * wire_test.c - eventfds that KVM turns into messages: they reach the vCPU's LAPIC with no thread
 * of ours between, a new message takes effect as a whole, and what comes while none is connected
 * stays in the eventfd. No guest runs: the LAPIC's request register tells.
 *
 *   wire_test   77 without /dev/kvm; TAP
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "../../src/clock.h"
#include "../../src/kvm/vm.h"

#define MESSAGE   0xfee00000ull
#define APIC_SPIV 0xf0
#define APIC_IRR  0x200
#define SPIV_ON   0x1ff

static struct vm vm;
static struct irq_sink sink;
static unsigned tests, failures;

static void check(bool good, const char *what)
{
	printf("%s %u - %s\n", good ? "ok" : "not ok", ++tests, what);
	failures += !good;
}

static _Noreturn void die(const char *what)
{
	printf("Bail out! %s\n", what);
	exit(1);
}

/* All registers as after a reset, but on: requests that came are forgotten. */
static void lapic_on(void)
{
	static struct kvm_lapic_state first;
	static bool known;
	const uint32_t on = SPIV_ON;

	if (!known && ioctl(vm.vcpu[0].fd, KVM_GET_LAPIC, &first) < 0)
		die("KVM_GET_LAPIC");
	known = true;
	memcpy(first.regs + APIC_SPIV, &on, sizeof(on));
	if (ioctl(vm.vcpu[0].fd, KVM_SET_LAPIC, &first) < 0)
		die("KVM_SET_LAPIC");
}

static bool requested(uint8_t vector)
{
	struct kvm_lapic_state s;

	if (ioctl(vm.vcpu[0].fd, KVM_GET_LAPIC, &s) < 0)
		die("KVM_GET_LAPIC");
	return s.regs[APIC_IRR + vector / 32 * 16 + vector % 32 / 8] & 1 << vector % 8;
}

/* KVM may have the message sent by a worker. */
static bool comes(uint8_t vector)
{
	uint64_t until = clock_now() + NSEC;

	while (!requested(vector))
		if (clock_now() > until)
			return false;
	return true;
}

static void signal_it(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		die("write");
}

static bool waits(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

int main(void)
{
	const struct vm_conf conf = {.cpus = 1};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);
	uint64_t count;

	if (access("/dev/kvm", R_OK | W_OK))
		return 77;
	if (vm_create(&vm, &conf) || vm_create_vcpus(&vm, &conf))
		die("no VM");
	vm_sink(&vm, &sink);
	lapic_on();
	check(sink.wire(&vm, fd, MESSAGE, 0x51), "KVM takes an eventfd");
	check(sink.wire(&vm, other, MESSAGE, 0x61), "and another");
	signal_it(fd);
	check(comes(0x51) && !requested(0x61), "a signal is a message");
	lapic_on();
	sink.route(&vm, 10, MESSAGE, 0x8030);
	check(sink.wire(&vm, fd, MESSAGE, 0x52), "its message may change");
	signal_it(fd);
	check(comes(0x52) && !requested(0x51), "and then is the new one");
	lapic_on();
	sink.unwire(&vm, fd);
	while (read(fd, &count, sizeof(count)) > 0)
		; /* which kernels before 5.11 left there */
	signal_it(fd);
	check(waits(fd) && !requested(0x52), "what is not connected is left to us");
	check(sink.wire(&vm, fd, MESSAGE, 0x53) && comes(0x53),
	      "what waited is sent when it is connected again");
	signal_it(other);
	check(comes(0x61), "the other one has been there all the time");
	printf("1..%u\n", tests);
	return failures != 0;
}
