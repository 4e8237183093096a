/* etcd_process - an etcd of one's own, for tests that kill, stop and compact it
 *
 * One member in a temporary directory on ports of the kernel's choice.  Needs
 * `etcd` on PATH; without it etcd_process_new returns NULL and the test skips.
 */
#ifndef TESTS_SUPPORT_ETCD_PROCESS_H
#define TESTS_SUPPORT_ETCD_PROCESS_H

#include "core/base/base.h"

typedef struct etcd_process etcd_process_t;

/* Starts it and waits until it answers.  more: further arguments, NULL at the
 * end; NULL for none. */
etcd_process_t *etcd_process_new(const char *const *more);

/* Kills it and removes its directory. */
void etcd_process_destroy(etcd_process_t **self_p);

int etcd_process_port(const etcd_process_t *self);

/* "127.0.0.1:port" */
const char *etcd_process_endpoint(const etcd_process_t *self);

/* kill -9; its directory and ports stay for etcd_process_start. */
void etcd_process_kill(etcd_process_t *self);
void etcd_process_start(etcd_process_t *self);

/* SIGSTOP and SIGCONT: alive to TCP, dead to everybody else. */
void etcd_process_pause(etcd_process_t *self, bool paused);

#endif
