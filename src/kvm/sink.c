/*
 * sink.c - from the interrupt controllers, the board lock held, to KVM: messages, the routing
 * table, the 8259's INTR [KVM api.rst: KVM_SIGNAL_MSI, KVM_SET_GSI_ROUTING].
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

/* KVM scans this table for the vectors whose EOI it must report; it has no other use here. */
static void push_routes(const struct vm *vm)
{
	struct {
		struct kvm_irq_routing t;
		struct kvm_irq_routing_entry e[VM_GSIS];
	} r = {.t = {.nr = 0}};

	for (unsigned gsi = 0; gsi < VM_GSIS; gsi++) {
		struct kvm_irq_routing_entry *e = &r.e[r.t.nr];

		if (!vm->route[gsi].used)
			continue;
		e->gsi = gsi;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)vm->route[gsi].addr;
		e->u.msi.address_hi = (uint32_t)(vm->route[gsi].addr >> 32);
		e->u.msi.data = vm->route[gsi].data;
		r.t.nr++;
	}
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r) < 0)
		log_guest("KVM_SET_GSI_ROUTING: %s; level interrupts may stop", strerror(errno));
}

static void sink_route(void *ctx, unsigned gsi, uint64_t addr, uint32_t data)
{
	struct vm *vm = ctx;

	if (vm->route[gsi].used && vm->route[gsi].addr == addr && vm->route[gsi].data == data)
		return;
	vm->route[gsi].used = true;
	vm->route[gsi].addr = addr;
	vm->route[gsi].data = data;
	push_routes(vm);
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

void vm_sink(struct vm *vm, struct irq_sink *sink)
{
	*sink = (struct irq_sink){.ctx = vm,
				  .msi = sink_msi,
				  .route = sink_route,
				  .unroute = sink_unroute,
				  .intr = sink_intr};
}
