/* log - one line an event: `level event key=value …`
 *
 *     2026-11-22T18:04:05.123Z info coord_leader node=3 term=17 trace=0
 *
 * The event is one word a script can match; values with spaces are quoted by
 * the caller (`why="%s"`).  Library code below the daemons logs at debug only;
 * a daemon logs an error once, where it decides what to do about it.
 * Lines are written whole with one write(2) to stderr or the log file; those at
 * info and above are kept in the journal as well (core/base/journal.h).
 */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <stdint.h>

#include "core/base/base.h"

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL } log_level_t;

/* Anything below this level is dropped; LOG_INFO at start. */
void log_set_level(log_level_t level);
bool log_wants(log_level_t level);
log_level_t log_level(void);
const char *log_level_name(log_level_t level);

/* "debug", "info", "warn", "error", "fatal"; false for anything else. */
bool log_level_parse(const char *text, log_level_t *ret);

/* Write to this file (appended) instead of stderr.  ERR_DISK when it cannot be opened. */
err_t must_use log_to_file(ctx_t *ctx, const char *path);

void log_event(log_level_t level, const char *event, const char *format, ...) printf_like(3, 4);

/* For what strangers can provoke: at most `per_second` lines a second from this
 * place; the next line that gets through carries suppressed=N.
 *
 *     static log_gate_t gate = { .per_second = 5 };
 *     log_gated(&gate, LOG_WARN, "garbage", "peer=%s", ip);
 */
typedef struct log_gate {
    int per_second;
    _Atomic int64_t second;     /* monotonic second that `used` counts */
    _Atomic int used;
    _Atomic int64_t suppressed;
} log_gate_t;

void log_gated(log_gate_t *gate, log_level_t level, const char *event,
               const char *format, ...) printf_like(4, 5);

#endif
