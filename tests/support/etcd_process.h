/* etcd_process - an etcd of one's own, for tests that kill, stop and compact it
 *
 * One member in a temporary directory on ports of the kernel's choice.  Needs
 * `etcd` on PATH; without it etcd_process_new returns NULL and the test skips.
 */
#ifndef TESTS_SUPPORT_ETCD_PROCESS_H
#define TESTS_SUPPORT_ETCD_PROCESS_H

#include "core/meta/meta.h"

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

/* --- opening stores, in tests ----------------------------------------------- */

/* An etcd.rootPath nobody used before; lasts until the next call. */
const char *etcd_new_root(void);

/* Asserts that it opens; the caller destroys it. */
meta_t *etcd_open_at(const char *endpoints, const char *root);

/* The error of opening; its text goes to `text`. */
err_t etcd_open_error(const meta_etcd_options_t *options, int64_t limit_ms, char text[1024]);

#endif
