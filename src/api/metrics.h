/*
 * metrics.h - Firecracker's metrics: one JSON line with all its keys, at the start, every 60 s, on
 * demand and at the end, to a file or FIFO. A counter is written as what it grew by since the last
 * line. What happens here has its true count; a key for what cannot happen here stays 0.
 *
 * A group is a list of keys, in Firecracker's order: C a counter, S a value that is written as it
 * is, A the least, the largest and the sum of some times in microseconds.
 */
#pragma once
#include "../util.h"

// clang-format off
#define METRICS_AGG(C, S, A) S(min_us) S(max_us) C(sum_us)

/* --- counted by the API: struct metrics_api --- */
#define METRICS_API_SERVER(C, S, A) S(process_startup_time_us) S(process_startup_time_cpu_us)
#define METRICS_DEPRECATED_API(C, S, A) C(deprecated_http_api_calls)
#define METRICS_GET(C, S, A) \
	C(instance_info_count) C(machine_cfg_count) C(mmds_count) C(vmm_version_count) \
	C(hotplug_memory_count)
#define METRICS_PATCH(C, S, A) \
	C(drive_count) C(drive_fails) C(network_count) C(network_fails) \
	C(machine_cfg_count) C(machine_cfg_fails) C(mmds_count) C(mmds_fails) \
	C(hotplug_memory_count) C(hotplug_memory_fails) C(pmem_count) C(pmem_fails)
#define METRICS_PUT(C, S, A) \
	C(actions_count) C(actions_fails) C(boot_source_count) C(boot_source_fails) \
	C(drive_count) C(drive_fails) C(logger_count) C(logger_fails) \
	C(machine_cfg_count) C(machine_cfg_fails) C(cpu_cfg_count) C(cpu_cfg_fails) \
	C(metrics_count) C(metrics_fails) C(network_count) C(network_fails) \
	C(mmds_count) C(mmds_fails) C(vsock_count) C(vsock_fails) C(pmem_count) C(pmem_fails) \
	C(serial_count) C(serial_fails) C(hotplug_memory_count) C(hotplug_memory_fails)
#define METRICS_LATENCIES(C, S, A) \
	S(full_create_snapshot) S(diff_create_snapshot) S(load_snapshot) S(pause_vm) S(resume_vm) \
	S(vmm_full_create_snapshot) S(vmm_diff_create_snapshot) S(vmm_load_snapshot) \
	S(vmm_pause_vm) S(vmm_resume_vm)

/* --- counted by the machine --- */
#define METRICS_BALLOON(C, S, A) \
	C(activate_fails) C(inflate_count) C(stats_updates_count) C(stats_update_fails) \
	C(deflate_count) C(event_fails) C(free_page_report_count) C(free_page_report_freed) \
	C(free_page_report_fails) C(free_page_hint_count) C(free_page_hint_freed) \
	C(free_page_hint_fails)
#define METRICS_BLOCK(C, S, A) \
	C(activate_fails) C(cfg_fails) C(no_avail_buffer) C(event_fails) C(execute_fails) \
	C(invalid_reqs_count) C(flush_count) C(queue_event_count) C(rate_limiter_event_count) \
	C(update_count) C(update_fails) C(read_bytes) C(write_bytes) C(read_count) C(write_count) \
	A(read_agg) A(write_agg) C(rate_limiter_throttled_events) C(io_engine_throttled_events) \
	C(remaining_reqs_count)
#define METRICS_I8042(C, S, A) \
	C(error_count) C(missed_read_count) C(missed_write_count) C(read_count) C(reset_count) \
	C(write_count)
#define METRICS_UART(C, S, A) \
	C(error_count) C(flush_count) C(missed_read_count) C(missed_write_count) C(read_count) \
	C(write_count) C(rate_limiter_dropped_bytes)
#define METRICS_LOGGER(C, S, A) \
	C(missed_metrics_count) C(metrics_fails) C(missed_log_count) C(rate_limited_log_count)
#define METRICS_MMDS(C, S, A) \
	C(rx_accepted) C(rx_accepted_err) C(rx_accepted_unusual) C(rx_bad_eth) C(rx_invalid_token) \
	C(rx_no_token) C(rx_count) C(tx_bytes) C(tx_count) C(tx_errors) C(tx_frames) \
	C(connections_created) C(connections_destroyed)
#define METRICS_NET(C, S, A) \
	C(activate_fails) C(cfg_fails) C(no_rx_avail_buffer) C(no_tx_avail_buffer) C(event_fails) \
	C(rx_queue_event_count) C(rx_event_rate_limiter_count) C(rx_rate_limiter_throttled) \
	C(rx_tap_event_count) C(rx_bytes_count) C(rx_packets_count) C(rx_fails) C(rx_count) \
	C(tap_read_fails) C(tap_write_fails) A(tap_write_agg) C(tx_bytes_count) \
	C(tx_malformed_frames) C(tx_fails) C(tx_count) C(tx_packets_count) C(tx_queue_event_count) \
	C(tx_rate_limiter_event_count) C(tx_rate_limiter_throttled) C(tx_spoofed_mac_count) \
	C(tx_remaining_reqs_count)
#define METRICS_SECCOMP(C, S, A) S(num_faults)
#define METRICS_VCPU(C, S, A) \
	C(exit_io_in) C(exit_io_out) C(exit_mmio_read) C(exit_mmio_write) C(failures) \
	C(kvmclock_ctrl_fails) A(exit_io_in_agg) A(exit_io_out_agg) A(exit_mmio_read_agg) \
	A(exit_mmio_write_agg)
#define METRICS_VMM(C, S, A) S(panic_count)
#define METRICS_SIGNALS(C, S, A) \
	S(sigbus) S(sigsegv) S(sigxfsz) S(sigxcpu) C(sigpipe) S(sighup) S(sigill)
#define METRICS_VSOCK(C, S, A) \
	C(activate_fails) C(cfg_fails) C(rx_queue_event_fails) C(tx_queue_event_fails) \
	C(ev_queue_event_fails) C(muxer_event_fails) C(conn_event_fails) C(rx_queue_event_count) \
	C(tx_queue_event_count) C(rx_bytes_count) C(tx_bytes_count) C(rx_packets_count) \
	C(tx_packets_count) C(conns_added) C(conns_killed) C(conns_removed) C(killq_resync) \
	C(tx_flush_fails) C(tx_write_fails) C(rx_read_fails)
#define METRICS_ENTROPY(C, S, A) \
	C(activate_fails) C(entropy_event_fails) C(entropy_event_count) C(entropy_bytes) \
	C(host_rng_fails) C(entropy_rate_limiter_throttled) C(rate_limiter_event_count)
#define METRICS_PMEM(C, S, A) \
	C(activate_fails) C(cfg_fails) C(event_fails) C(queue_event_count) \
	C(rate_limiter_throttled_events) C(rate_limiter_event_count)
#define METRICS_INTERRUPTS(C, S, A) C(triggers) C(config_updates)
#define METRICS_MEMORY_HOTPLUG(C, S, A) \
	C(activate_fails) C(queue_event_fails) C(queue_event_count) A(plug_agg) C(plug_count) \
	C(plug_bytes) C(plug_fails) A(unplug_agg) C(unplug_count) C(unplug_bytes) C(unplug_fails) \
	C(unplug_discard_fails) A(unplug_all_agg) C(unplug_all_count) C(unplug_all_fails) \
	A(state_agg) C(state_count) C(state_fails)

#define METRICS_FIELD(key)     uint64_t key;
#define METRICS_FIELD_AGG(key) struct metrics_agg key;
#define METRICS_STRUCT(name, LIST) \
	struct metrics_##name { LIST(METRICS_FIELD, METRICS_FIELD, METRICS_FIELD_AGG) }
// clang-format on

METRICS_STRUCT(agg, METRICS_AGG);
METRICS_STRUCT(api_server, METRICS_API_SERVER);
METRICS_STRUCT(deprecated, METRICS_DEPRECATED_API);
METRICS_STRUCT(get, METRICS_GET);
METRICS_STRUCT(patch, METRICS_PATCH);
METRICS_STRUCT(put, METRICS_PUT);
METRICS_STRUCT(latencies, METRICS_LATENCIES);
METRICS_STRUCT(balloon, METRICS_BALLOON);
METRICS_STRUCT(block, METRICS_BLOCK);
METRICS_STRUCT(i8042, METRICS_I8042);
METRICS_STRUCT(uart, METRICS_UART);
METRICS_STRUCT(logger, METRICS_LOGGER);
METRICS_STRUCT(mmds, METRICS_MMDS);
METRICS_STRUCT(net, METRICS_NET);
METRICS_STRUCT(seccomp, METRICS_SECCOMP);
METRICS_STRUCT(vcpu, METRICS_VCPU);
METRICS_STRUCT(vmm, METRICS_VMM);
METRICS_STRUCT(signals, METRICS_SIGNALS);
METRICS_STRUCT(vsock, METRICS_VSOCK);
METRICS_STRUCT(entropy, METRICS_ENTROPY);
METRICS_STRUCT(pmem, METRICS_PMEM);
METRICS_STRUCT(interrupts, METRICS_INTERRUPTS);
METRICS_STRUCT(memory_hotplug, METRICS_MEMORY_HOTPLUG);

/* What the API counts, and the process's start. */
struct metrics_api {
	struct metrics_api_server server;
	struct metrics_deprecated deprecated;
	struct metrics_get get;
	struct metrics_patch patch;
	struct metrics_put put;
	struct metrics_latencies latencies;
};

#define METRICS_BLOCKS 16
#define METRICS_NETS   8

/* All there is, as counted since the process began. */
struct metrics {
	struct metrics_api api;
	struct metrics_balloon balloon;
	struct metrics_i8042 i8042;
	struct metrics_uart uart;
	struct metrics_logger logger; /* filled here */
	struct metrics_mmds mmds;
	struct metrics_seccomp seccomp;
	struct metrics_vcpu vcpu;
	struct metrics_vmm vmm;
	struct metrics_signals signals;
	struct metrics_vsock vsock;
	struct metrics_entropy entropy;
	struct metrics_pmem pmem; /* the device is not there, nor the next */
	struct metrics_interrupts interrupts;
	struct metrics_memory_hotplug memory_hotplug;
	unsigned blocks, nets;
	const char *block_id[METRICS_BLOCKS], *net_id[METRICS_NETS]; /* letters, digits, '_' */
	struct metrics_block block[METRICS_BLOCKS];
	struct metrics_net net[METRICS_NETS];
};

/* Counted from anywhere in the loop's thread; where metrics_write() takes them from. */
extern struct metrics_api metrics_api;
/* Set by a handler that ends the process, before its metrics_write(). */
extern struct metrics_signals metrics_signals;
extern struct metrics_seccomp metrics_seccomp;

/*
 * Opens the file. `id` and `properties`, a JSON object, are written in each line unless NULL, and
 * must stay. 0, or -errno with Firecracker's sentence in `why`: -EALREADY the second time. Before
 * lock-down.
 */
int metrics_init(const char *path, const char *id, const char *properties, char *why, size_t len);
bool metrics_on(void);
/*
 * Who fills in the machine's part of an all-zero struct, in the thread that writes; devices keep
 * their places in the arrays from line to line.
 */
void metrics_source(void (*fill)(void *ctx, struct metrics *m), void *ctx);
/*
 * A line, at once. 0 when it is written or nobody asked for metrics, -errno when it was not taken:
 * then the counts stay for the next line. No heap, no wait.
 */
int metrics_write(void);
/* The 60 s: writes a line when it is due. The next time to call; NEVER when nobody asked. */
#define METRICS_PERIOD (60 * NSEC)
uint64_t metrics_tick(uint64_t now);
/* The times that the jailer tells of the process's start, in us; FC_NOT_GIVEN where it does not. */
void metrics_startup(uint64_t start_us, uint64_t start_cpu_us, uint64_t parent_cpu_us);
