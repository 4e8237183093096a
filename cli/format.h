/* format - what lies in a stored object, as JSON
 *
 * The first bytes say which of our formats it is.  Whatever could be read and
 * verified before something was found to be wrong is in the JSON all the same.
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <jansson.h>

#include "core/base/base.h"
#include "core/base/buf.h"

typedef struct format_ask {
    size_t most;                /* rows of a list, such as records of a deltalog */
    bool entries;               /* of each object of a log file too */
} format_ask_t;

/* Take apart the bytes of an object or a log's file; 64-aligned, borrowed.
 *   name   for texts
 *   into   an object; members are added to it
 * Errors  ERR_CORRUPT, with name, offset and reason; ERR_VERSION
 *         ERR_PARAM_INVALID  it is none of our formats */
err_t must_use format_read(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                           json_t *into);

/* The parts: each is called when the first bytes say so. */
err_t must_use format_wal(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                          json_t *into);
err_t must_use format_wal_epoch(ctx_t *ctx, const format_ask_t *ask, view_t bytes,
                                const char *name, json_t *into);
err_t must_use format_binlog(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                             json_t *into);
err_t must_use format_delta(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                            json_t *into);
err_t must_use format_stats(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                            json_t *into);
err_t must_use format_scalar(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                             json_t *into);
err_t must_use format_index(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                            json_t *into);

/* A vector index of several objects; the first is number 0. */
err_t must_use format_index_objects(ctx_t *ctx, const view_t *bytes, const char *const *names,
                                    size_t n, json_t *into);

/* Members: a number that fits JavaScript, a 64-bit number as text, a timestamp with its time. */
void format_count(json_t *into, const char *key, uint64_t value);
void format_id(json_t *into, const char *key, uint64_t value);
void format_ts(ctx_t *ctx, json_t *into, const char *key, uint64_t ts);
void format_text(json_t *into, const char *key, const char *text);

/* JSON as lines for people: members one below the other, then each list as a table. */
void format_print(ctx_t *ctx, const json_t *root, size_t width, buf_t *into);

#endif
