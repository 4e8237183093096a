/* top - `elanus top`: the cluster on a screen, once a second
 *
 * Each frame is asked for anew.  When nobody answers the tables go and the
 * frame says so, with since when: what is on the screen is true or not there.
 * Drawing (top_frame.c) knows no terminal, so that tests and --once see what
 * people see.
 */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <jansson.h>

#include "cli/args.h"
#include "core/base/buf.h"

typedef enum { TOP_NODES, TOP_CHANNELS, TOP_SEGMENTS, TOP_INDEXES, TOP_REQUESTS, TOP_EVENTS,
               TOP_VIEWS } top_view_t;

typedef struct top {
    top_view_t view;
    size_t scroll;              /* lines that are above the frame */
    bool help, explain;
    json_t *nodes, *before;     /* the last two answers to "nodes"; NULL: none */
    json_t *page;               /* of the view, when it is not nodes */
    const char *error;          /* why there is no answer; NULL: there is one */
    int64_t error_ms;           /* how long nobody has answered */
    int64_t now_us;             /* wall clock */
} top_t;

/* The page of docs/pages.md behind a view, with its query. */
const char *top_page(top_view_t view);

/* A frame of exactly `height` lines of at most `width` columns; height 0: as many as it takes.
 *   bold  lines that stand out are marked for a terminal; else no escapes */
void top_frame(ctx_t *ctx, const top_t *self, size_t width, size_t height, bool bold,
               buf_t *into);

int top_main(const args_t *args);
extern const flag_t top_flags[];        /* --once */

#endif
