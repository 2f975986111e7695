/* sink_test.c - what KVM is told of eventfds that send messages without us, with a stand-in. */
#include "../../../src/kvm/vm.h"

#include <errno.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "../../../src/kvm/vcpu.h"
#include "../said.h"

#define FIRST_GSI 48u /* those below have their EOIs reported */
#define FD        100
#define MESSAGE   0x12fee01000ull

static struct {
	unsigned long fail; /* the request that does */
	unsigned routings, calls;
	unsigned entries;
	struct kvm_irq_routing_entry e[VM_GSIS + VM_WIRES];
	struct {
		int fd;
		unsigned gsi;
	} irqfd[VM_WIRES];
	unsigned irqfds;
} k;

static struct vm vm;
static struct irq_sink sink;

void vcpu_kick(struct vcpu *v)
{
}

static int fail_with(int err)
{
	errno = err;
	return -1;
}

static int set_irqfd(const struct kvm_irqfd *f)
{
	unsigned i = 0;

	k.calls++;
	while (i < k.irqfds && k.irqfd[i].fd != (int)f->fd)
		i++;
	if (f->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		assert_true(i < k.irqfds && k.irqfd[i].gsi == f->gsi);
		k.irqfd[i] = k.irqfd[--k.irqfds];
		return 0;
	}
	if (i < k.irqfds)
		return fail_with(EBUSY); /* an eventfd is connected once */
	k.irqfd[i].fd = (int)f->fd;
	k.irqfd[i].gsi = f->gsi;
	k.irqfds++;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	const struct kvm_irq_routing *r;
	va_list ap;
	const void *arg;

	va_start(ap, request);
	arg = r = va_arg(ap, const void *);
	va_end(ap);
	assert_int_equal(fd, 7);
	if (request == k.fail)
		return fail_with(ENOMEM);
	if (request == KVM_IRQFD)
		return set_irqfd(arg);
	assert_int_equal(request, KVM_SET_GSI_ROUTING);
	assert_in_range(r->nr, 0, ARRAY_SIZE(k.e));
	k.routings++;
	k.entries = r->nr;
	memcpy(k.e, r->entries, r->nr * sizeof(*r->entries));
	return 0;
}

static int setup(void **state)
{
	memset(&k, 0, sizeof(k));
	memset(&vm, 0, sizeof(vm));
	vm.fd = 7;
	vm_sink(&vm, &sink);
	said_lines = 0;
	return 0;
}

/* The message that KVM has for a GSI; NULL: none. */
static const struct kvm_irq_routing_msi *route_of(unsigned gsi)
{
	for (unsigned i = 0; i < k.entries; i++)
		if (k.e[i].gsi == gsi)
			return k.e[i].type == KVM_IRQ_ROUTING_MSI ? &k.e[i].u.msi : NULL;
	return NULL;
}

static bool wire(int fd, uint64_t addr, uint32_t data)
{
	return sink.wire(&vm, fd, addr, data);
}

static void assert_route(unsigned gsi, uint64_t addr, uint32_t data)
{
	const struct kvm_irq_routing_msi *msi = route_of(gsi);

	assert_non_null(msi);
	assert_int_equal(msi->address_lo, (uint32_t)addr);
	assert_int_equal(msi->address_hi, addr >> 32);
	assert_int_equal(msi->data, data);
	assert_int_equal(msi->pad, 0);
}

static void an_eventfd_has_its_message_before_it_is_connected(void **state)
{
	k.fail = KVM_IRQFD;
	assert_false(wire(FD, MESSAGE, 0x41));
	assert_route(FIRST_GSI, MESSAGE, 0x41);
	assert_string_equal(strstr(said, "KVM_IRQFD"), said);
	k.fail = 0;
	assert_true(wire(FD, MESSAGE, 0x41));
	assert_int_equal(k.irqfds, 1);
	assert_int_equal(k.irqfd[0].fd, FD);
	assert_int_equal(k.irqfd[0].gsi, FIRST_GSI);
	assert_int_equal(k.routings, 1);
}

static void a_new_message_replaces_the_old_in_one_call(void **state)
{
	assert_true(wire(FD, MESSAGE, 0x41));
	assert_true(wire(FD, MESSAGE, 0x41));
	assert_int_equal(k.routings, 1);
	assert_true(wire(FD, 0xfee02000, 0x52));
	assert_route(FIRST_GSI, 0xfee02000, 0x52);
	assert_int_equal(k.routings, 2);
	assert_int_equal(k.calls, 1); /* and it was connected all the time */
}

static void an_eventfd_that_comes_back_costs_one_call(void **state)
{
	assert_true(wire(FD, MESSAGE, 0x41));
	sink.unwire(&vm, FD);
	assert_int_equal(k.irqfds, 0);
	sink.unwire(&vm, FD);     /* it is gone */
	sink.unwire(&vm, FD + 1); /* never was there */
	assert_int_equal(k.calls, 2);
	assert_true(wire(FD, MESSAGE, 0x41));
	assert_int_equal(k.irqfd[0].gsi, FIRST_GSI);
	assert_int_equal(k.routings, 1);
}

static void each_has_a_route_of_its_own_beside_those_of_pins(void **state)
{
	sink.route(&vm, 10, 0xfee00000, 0x8030);
	for (int i = 0; i < (int)VM_WIRES; i++)
		assert_true(wire(FD + i, MESSAGE, (uint32_t)i));
	assert_false(wire(FD + VM_WIRES, MESSAGE, 0));
	assert_int_equal(k.irqfds, VM_WIRES);
	for (unsigned i = 0; i < VM_WIRES; i++)
		assert_route(FIRST_GSI + i, MESSAGE, i);
	assert_route(10, 0xfee00000, 0x8030);
	sink.unroute(&vm, 10);
	assert_null(route_of(10));
	assert_route(FIRST_GSI + VM_WIRES - 1, MESSAGE, VM_WIRES - 1);
}

/* It would send the old one. */
static void an_eventfd_whose_message_kvm_refuses_is_not_connected(void **state)
{
	assert_true(wire(FD, MESSAGE, 0x41));
	k.fail = KVM_SET_GSI_ROUTING;
	assert_false(wire(FD, MESSAGE, 0x42));
	assert_int_equal(k.irqfds, 0);
	k.fail = 0;
	assert_true(wire(FD, MESSAGE, 0x42));
	assert_route(FIRST_GSI, MESSAGE, 0x42);
	assert_int_equal(k.irqfds, 1);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_eventfd_has_its_message_before_it_is_connected),
		T(a_new_message_replaces_the_old_in_one_call),
		T(an_eventfd_that_comes_back_costs_one_call),
		T(each_has_a_route_of_its_own_beside_those_of_pins),
		T(an_eventfd_whose_message_kvm_refuses_is_not_connected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
