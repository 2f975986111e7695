/*
 * metrics_devices.c - what our devices count, by Firecracker's keys. Its events are ours where they
 * mean the same; where it counts what we do not have, such as times of single requests, there is 0.
 */
#include "metrics_devices.h"

#define PAGE 4096

void metrics_vcpus(struct metrics_vcpu *m, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->cpus; i++) {
		const struct vcpu *v = &vm->vcpu[i];

		m->exit_io_in += v->pio[0];
		m->exit_io_out += v->pio[1];
		m->exit_mmio_read += v->mmio[0];
		m->exit_mmio_write += v->mmio[1];
	}
}

void metrics_mmds(struct metrics_mmds *m, const struct mmds_counters *c)
{
	*m = (struct metrics_mmds){
		.rx_accepted = c->rx_accepted,
		.rx_accepted_err = c->rx_accepted_err,
		.rx_accepted_unusual = c->rx_accepted_unusual,
		.rx_bad_eth = c->rx_bad_eth,
		.rx_invalid_token = c->rx_invalid_token,
		.rx_no_token = c->rx_no_token,
		.rx_count = c->rx_count,
		.tx_bytes = c->tx_bytes,
		.tx_count = c->tx_count,
		.tx_errors = c->tx_errors,
		.tx_frames = c->tx_frames,
		.connections_created = c->connections_created,
		.connections_destroyed = c->connections_destroyed,
	};
}

void metrics_blk(struct metrics_block *m, const struct blk *b)
{
	m->execute_fails = b->dev.errors - MIN(b->dev.errors, b->count.refused);
	m->invalid_reqs_count = b->count.refused;
	m->flush_count = b->count.flushes;
	m->queue_event_count = b->dev.kicks;
	m->read_bytes = b->count.read_bytes;
	m->write_bytes = b->count.write_bytes;
	m->read_count = b->count.reads;
	m->write_count = b->count.writes;
	m->rate_limiter_throttled_events = b->limit.throttled;
}

void metrics_net(struct metrics_net *m, const struct net *n)
{
	m->no_rx_avail_buffer = n->in.starved;
	m->rx_rate_limiter_throttled = n->rx_limit.throttled;
	m->rx_bytes_count = n->in.bytes;
	m->rx_packets_count = m->rx_count = n->in.packets;
	m->rx_fails = n->in.dropped;
	m->tx_bytes_count = n->out.bytes;
	m->tx_packets_count = m->tx_count = n->out.packets;
	m->tx_fails = n->out.dropped;
	m->tx_queue_event_count = n->dev.kicks;
	m->tx_rate_limiter_throttled = n->tx_limit.throttled;
}

void metrics_vsock(struct metrics_vsock *m, const struct vsock *v)
{
	m->tx_queue_event_count = v->dev.kicks;
	m->tx_packets_count = v->dev.chains;
	m->conns_added = v->accepted + v->dialed - MIN(v->dialed, v->undialed);
	m->conns_killed = v->killed;
	m->muxer_event_fails = v->starved;
}

void metrics_rng(struct metrics_entropy *m, const struct rng *r)
{
	m->entropy_event_count = r->dev.chains;
	m->entropy_bytes = r->bytes;
	m->entropy_rate_limiter_throttled = r->limit.throttled;
}

/* Its operations are pages here. */
void metrics_balloon(struct metrics_balloon *m, const struct balloon *b)
{
	m->inflate_count = b->inflated;
	m->deflate_count = b->deflated;
	m->stats_updates_count = b->stats_updates;
	m->free_page_report_count = b->reported;
	m->free_page_report_freed = b->reported * PAGE;
}
