/* sim_disk - the disks of simulated logs: they lose power, fail, fill up, and outlive nodes
 *
 * One for each channel, in memory (core/wal/wal_ram.c), opened by one node at a time.
 */
#ifndef TESTS_SUPPORT_SIM_DISK_H
#define TESTS_SUPPORT_SIM_DISK_H

#include "core/wal/wal_disk.h"

typedef struct sim_disks sim_disks_t;

sim_disks_t *sim_disks_new(void);
void sim_disks_destroy(sim_disks_t **self_p);

/* data_options_t.open_disk with the disks as its argument; ERR_LOCKED while a node has it. */
err_t sim_disks_open(ctx_t *ctx, void *self, const char *name, wal_disk_t **ret);

/* Without power every call fails and nothing more is written.  A node that is killed closes
 * nothing in order, so its disks are off while it is destroyed. */
void sim_disks_power(sim_disks_t *self, bool on);
bool sim_disks_have_power(const sim_disks_t *self);

/* Power goes off at the n-th call from now, in the middle of whatever it is; 0: not. */
void sim_disks_cut_at(sim_disks_t *self, uint64_t n);

/* The n-th call from now fails, once; 0: none. */
void sim_disks_fail_at(sim_disks_t *self, uint64_t n);

/* What was not synced is lost, or not.  No node may have a disk open.  Power is back. */
void sim_disks_crash(sim_disks_t *self, rng_t *rng);

/* No file grows any more, or all may again. */
void sim_disks_fill(sim_disks_t *self, bool full);

#endif
