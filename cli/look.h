/* look - the commands that ask a proxy what it sees: docs/pages.md
 *
 * Any proxy tells of the whole cluster, so the first that answers is enough: the
 * others are tried when one is dead.  Whatever an answer says is missing goes to
 * stderr, so that half a cluster never looks like a whole one.
 */
#ifndef CLI_LOOK_H
#define CLI_LOOK_H

#include <jansson.h>

#include "cli/args.h"
#include "core/base/buf.h"
#include "core/base/vec.h"

enum { LOOK_ADDRESSES = 64, LOOK_MS = 5000 };

typedef struct look {
    const args_t *args;
    char *addresses[LOOK_ADDRESSES];    /* of proxies' ops ports; owned */
    size_t n, answered;         /* answered: who did last; asked first */
    const char *token;
    int64_t patience_ms;        /* for one proxy's answer; 0: LOOK_MS */
    bool quiet;                 /* says nothing on stderr */
} look_t;

extern const flag_t look_flags[];       /* --ops, --dir, --token */

/* Find whom to ask, by --ops or --dir.
 * Errors  ERR_PARAM_INVALID, ERR_NETWORK  no cluster runs in the directory, or no proxy of it */
err_t must_use look_open(ctx_t *ctx, const args_t *args, look_t *ret);
void look_close(look_t *self);
#define look_scoped __attribute__((cleanup(look_close))) look_t

/* Ask for "nodes" or "events?most=9".
 *   ret_text  as it came, in the arena; NULL: not wanted
 *   ret       caller decrefs
 * Errors  ERR_NETWORK, ERR_TIMEOUT  nobody answers; the text says what to do
 *         ERR_PARAM_INVALID, ERR_KEY_NOT_FOUND, ERR_META, ERR_DENIED  as the proxy says
 *         ERR_MALFORMED  it is no proxy's ops port */
err_t must_use look_ask(ctx_t *ctx, look_t *self, const char *page, const char **ret_text,
                        json_t **ret);

/* A line of stderr for each thing that the answer lacks. */
void look_say_missing(const look_t *self, const json_t *answer);

/* Say on stderr why a command ends, and tell the exit status of it. */
int look_failed(ctx_t *ctx, const args_t *args);

/* The items of an answer to "nodes", "channels" … as a table at most `width` columns wide.
 * False: this page is no table. */
bool look_table(ctx_t *ctx, const char *page, const json_t *root, size_t width, buf_t *into);

/* An event's lines; explain: with what it means. */
void look_event(ctx_t *ctx, const json_t *item, size_t width, bool explain, buf_t *into);

/* An answer to "trace" as a waterfall. */
void look_waterfall(ctx_t *ctx, const json_t *root, size_t width, buf_t *into);

/* The commands. */
int look_nodes(const args_t *args);
int look_channels(const args_t *args);
int look_segments(const args_t *args);
int look_indexes(const args_t *args);
int look_requests(const args_t *args);
int look_events(const args_t *args);
int look_trace(const args_t *args);

extern const flag_t look_page_flags[];  /* --json, --watch */
extern const flag_t look_segments_flags[], look_requests_flags[];
extern const flag_t look_events_flags[], look_trace_flags[];

#endif
