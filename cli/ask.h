/* ask - one GET to the ops port of a daemon
 *
 * HTTP/1.1 over a connection of its own, with a deadline for all of it and a
 * bound on the answer.  Only what our ops port sends is understood: a status,
 * headers, a body of the length they say.
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "core/base/base.h"

typedef struct ask {
    const char *address;        /* HOST:PORT, [v6]:PORT */
    const char *path;           /* with its query, escaped */
    const char *token;          /* "user:password", for Authorization; NULL: none */
    int64_t patience_ms;
} ask_t;

typedef struct ask_answer {
    int status;
    view_t body;                /* in the arena, with a NUL behind it */
} ask_answer_t;

/* Errors  ERR_NETWORK         nothing listens there, no such host, or the connection broke
 *         ERR_TIMEOUT         it was taken and not answered in time
 *         ERR_PARAM_INVALID   the address is none
 *         ERR_MALFORMED       what answers does not speak HTTP as we do
 *         ERR_PARAM_TOO_LARGE more than LIMIT_OPS_ANSWER_BYTES
 * The text says which address and what to do. */
err_t must_use ask_get(ctx_t *ctx, const ask_t *ask, ask_answer_t *ret);

/* A value for a query string: what is not plain becomes %XX. */
const char *ask_escape(ctx_t *ctx, const char *text);

#endif
