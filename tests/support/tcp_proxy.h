/* tcp_proxy - a wire between a client and a server that a test can damage
 *
 * Listens on 127.0.0.1 on a port of the kernel's choice, forwards every
 * connection to one server, and on demand delays, stops, cuts, or spoils the
 * next request that contains some text.  One thread; all calls may come from
 * any other thread and take effect before they return.
 */
#ifndef TESTS_SUPPORT_TCP_PROXY_H
#define TESTS_SUPPORT_TCP_PROXY_H

#include "core/base/base.h"

typedef struct tcp_proxy tcp_proxy_t;

/* NULL when nothing can be listened on.  The server need not run yet. */
tcp_proxy_t *tcp_proxy_new(const char *server_host, int server_port);
void tcp_proxy_destroy(tcp_proxy_t **self_p);

int tcp_proxy_port(const tcp_proxy_t *self);

/* --- the whole wire --------------------------------------------------------- */

/* Close all connections now, both sides; new ones are welcome. */
void tcp_proxy_cut(tcp_proxy_t *self);

/* While refusing, connections are closed as soon as they are accepted (what
 * runs is cut, too). */
void tcp_proxy_refuse(tcp_proxy_t *self, bool refuse);

/* While frozen, nothing moves in either direction and nothing is closed: a
 * black hole.  Afterwards what was held back flows on. */
void tcp_proxy_freeze(tcp_proxy_t *self, bool frozen);

/* Bytes leave this much later than they came, in both directions. */
void tcp_proxy_delay_ms(tcp_proxy_t *self, int64_t delay_ms);

/* --- one request ------------------------------------------------------------ */

typedef enum {
    PROXY_PASS,                 /* let it through */
    PROXY_LOSE_ANSWER,          /* the server gets it; the client's connection closes
                                   when the server answers */
    PROXY_LOSE_REQUEST,         /* both sides close and the server sees none of it */
    PROXY_HOLD_REQUEST,         /* the client's side closes; the server gets it when
                                   tcp_proxy_release is called, and answers to nobody */
} tcp_proxy_fault_t;

enum { TCP_PROXY_RULES = 8 };

/* Do this to the next `times` chunks from a client that contain `text`.  Up to
 * TCP_PROXY_RULES such rules may wait; each begins when the one before is used
 * up.  A request should fit one chunk, as small ones do. */
void tcp_proxy_on(tcp_proxy_t *self, const char *text, int times, tcp_proxy_fault_t fault);

/* Forget the rules that wait. */
void tcp_proxy_clear(tcp_proxy_t *self);

/* How many chunks tcp_proxy_on has met since the start. */
int tcp_proxy_done(tcp_proxy_t *self);

/* Let the held requests go; returns when the server has answered each. */
void tcp_proxy_release(tcp_proxy_t *self);

/* Connections accepted since the start. */
int tcp_proxy_accepted(tcp_proxy_t *self);

#endif
