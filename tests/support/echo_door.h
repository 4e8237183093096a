/* echo_door - a door with a node behind it that only echoes
 *
 * Methods of milvus.proto.milvus.MilvusService: Echo sends the message back;
 * Big answers as many bytes as the number in the message says, each 'x'; Fail
 * answers NOT_FOUND with a text that must be escaped; Hold is kept until
 * echo_door_release.  REST: the body comes back, or "VERB path query" when
 * there is none; /missing answers 404, /hold is kept.
 */
#ifndef TESTS_SUPPORT_ECHO_DOOR_H
#define TESTS_SUPPORT_ECHO_DOOR_H

#include "proxy/door.h"

typedef struct echo_door echo_door_t;

#define ECHO_SERVICE "milvus.proto.milvus.MilvusService"
#define ECHO_PATH "/" ECHO_SERVICE "/Echo"
#define BIG_PATH  "/" ECHO_SERVICE "/Big"
#define FAIL_PATH "/" ECHO_SERVICE "/Fail"
#define HOLD_PATH "/" ECHO_SERVICE "/Hold"
#define FAIL_TEXT "no such collection: n\xc3\xa9t 100%\n"

/* Opens on 127.0.0.1 at a free port unless options say otherwise; hooks are set here.
 * threaded: answers come from a second thread, as they will in real life. */
err_t must_use echo_door_open(ctx_t *ctx, const door_options_t *options, bool threaded,
                              echo_door_t **ret);
void echo_door_destroy(echo_door_t **self_p);   /* answers what is held, too */

door_t *echo_door_inner(echo_door_t *self);
int echo_door_port(const echo_door_t *self);

/* Wait until so many requests are held, or were cancelled while held, since the start;
 * false after half a minute. */
bool echo_door_wait_held(echo_door_t *self, int n);
bool echo_door_wait_cancelled(echo_door_t *self, int n);

/* Answer all held requests by echoing them. */
void echo_door_release(echo_door_t *self);

/* Wait for a counter of door_stats to reach at least n; false after half a minute. */
#define echo_door_wait_stat(self, name, n) ({ \
    door_stats_t stat_; bool ok_ = false; \
    for (int i_ = 0; i_ < 30000 && !ok_; i_++) { \
        door_stats(echo_door_inner(self), &stat_); \
        ok_ = stat_.name >= (uint64_t)(n); \
        if (!ok_) echo_door_nap(); \
    } ok_; })
void echo_door_nap(void);

#endif
