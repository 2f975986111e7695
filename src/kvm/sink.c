/*
 * sink.c - from the interrupt controllers, the board lock held, to KVM: messages, the routing
 * table, the 8259's INTR, eventfds that become messages [KVM api.rst: KVM_SIGNAL_MSI,
 * KVM_SET_GSI_ROUTING, KVM_IRQFD].
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "../log.h"
#include "vcpu.h"

static int sink_msi(void *ctx, uint64_t addr, uint32_t data)
{
	const struct vm *vm = ctx;
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data};

	return ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

/*
 * KVM scans the first VM_GSIS of this table for the vectors whose EOI it must report; the others
 * are the messages of eventfds.
 */
static bool push_routes(const struct vm *vm)
{
	struct {
		struct kvm_irq_routing t;
		struct kvm_irq_routing_entry e[VM_GSIS + VM_WIRES];
	} r;

	r.t = (struct kvm_irq_routing){.nr = 0};
	for (unsigned gsi = 0; gsi < VM_GSIS + VM_WIRES; gsi++) {
		struct kvm_irq_routing_entry *e = &r.e[r.t.nr];

		if (!vm->route[gsi].used)
			continue;
		memset(e, 0, sizeof(*e));
		e->gsi = gsi;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)vm->route[gsi].addr;
		e->u.msi.address_hi = (uint32_t)(vm->route[gsi].addr >> 32);
		e->u.msi.data = vm->route[gsi].data;
		r.t.nr++;
	}
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r) == 0)
		return true;
	log_guest("KVM_SET_GSI_ROUTING: %s; level interrupts may stop", strerror(errno));
	return false;
}

static bool set_route(struct vm *vm, unsigned gsi, uint64_t addr, uint32_t data)
{
	if (vm->route[gsi].used && vm->route[gsi].addr == addr && vm->route[gsi].data == data)
		return true;
	vm->route[gsi].used = true;
	vm->route[gsi].addr = addr;
	vm->route[gsi].data = data;
	return push_routes(vm);
}

static void sink_route(void *ctx, unsigned gsi, uint64_t addr, uint32_t data)
{
	set_route(ctx, gsi, addr, data);
}

static void sink_unroute(void *ctx, unsigned gsi)
{
	struct vm *vm = ctx;

	if (!vm->route[gsi].used)
		return;
	vm->route[gsi].used = false;
	push_routes(vm);
}

static void sink_intr(void *ctx, bool level)
{
	struct vm *vm = ctx;

	atomic_store(&vm->intr, level);
	if (level)
		vcpu_kick(&vm->vcpu[0]);
}

/* --- eventfds --- */

static bool set_irqfd(struct vm *vm, unsigned i, bool on)
{
	const struct kvm_irqfd irqfd = {.fd = (uint32_t)vm->wire[i].fd,
					.gsi = VM_GSIS + i,
					.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

	if (ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0) {
		log_guest("KVM_IRQFD: %s; interrupts of a network are slow", strerror(errno));
		return false;
	}
	vm->wire[i].on = on;
	return true;
}

/* The one that `fd` has, or a free one; VM_WIRES: there is none. */
static unsigned find_wire(const struct vm *vm, int fd)
{
	unsigned i = 0;

	while (i < VM_WIRES && vm->wire[i].fd && vm->wire[i].fd != fd)
		i++;
	return i;
}

static void sink_unwire(void *ctx, int fd)
{
	struct vm *vm = ctx;
	unsigned i = find_wire(vm, fd);

	/* Its route stays: it sends nothing by itself, and mostly is the next one, too. */
	if (i < VM_WIRES && vm->wire[i].on)
		set_irqfd(vm, i, false);
}

static bool sink_wire(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	struct vm *vm = ctx;
	unsigned i = find_wire(vm, fd);

	if (i == VM_WIRES)
		return false;
	vm->wire[i].fd = fd;
	if (set_route(vm, VM_GSIS + i, addr, data))
		return vm->wire[i].on || set_irqfd(vm, i, true);
	vm->route[VM_GSIS + i].used = false; /* KVM has the one before, if any */
	sink_unwire(vm, fd);
	return false;
}

void vm_sink(struct vm *vm, struct irq_sink *sink)
{
	*sink = (struct irq_sink){.ctx = vm,
				  .msi = sink_msi,
				  .route = sink_route,
				  .unroute = sink_unroute,
				  .intr = sink_intr,
				  .wire = sink_wire,
				  .unwire = sink_unwire};
}
