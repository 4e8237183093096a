/* show - values of pages and stored formats as people read them
 *
 * The json_ ones take a member of an object; what is null, missing or of
 * another kind is "-" (or the default): a page may grow, and a node may be of
 * another version.
 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <jansson.h>

#include "core/base/base.h"
#include "core/base/buf.h"

/* All in the arena. */
const char *show_bytes(ctx_t *ctx, double bytes);       /* "68.0 MB", of 1024 */
const char *show_took(ctx_t *ctx, int64_t us);          /* "850 us", "4.2 ms", "1.50 s" */
const char *show_age(ctx_t *ctx, int64_t ms);           /* "4.2 s", "12 m", "3 h", "2 d" */
const char *show_clock(ctx_t *ctx, int64_t us);         /* "18:04:05.123", local */
const char *show_date(ctx_t *ctx, int64_t us);          /* "2026-11-22 18:04:05.123", local */
const char *show_ts(ctx_t *ctx, uint64_t ts);           /* that of a timestamp +LOGICAL */
const char *show_hex(ctx_t *ctx, view_t bytes, size_t most);    /* cut with "…" behind most */

const char *show_text(const json_t *item, const char *key);     /* "" when it is none */
double show_real(const json_t *item, const char *key, double none);
int64_t show_int(const json_t *item, const char *key, int64_t none);
bool show_known(const json_t *item, const char *key);           /* there, and not null */

/* Numbers as text, through one of the above. */
const char *show_count_of(ctx_t *ctx, const json_t *item, const char *key);
const char *show_bytes_of(ctx_t *ctx, const json_t *item, const char *key);
const char *show_tenths_of(ctx_t *ctx, const json_t *item, const char *key);    /* "12.5" */

/* {"epoch": 4, "seq": 181} as "4/181". */
const char *show_position(ctx_t *ctx, const json_t *position);

/* Print JSON as text and a line end. */
void show_json(const json_t *root, size_t json_flags, buf_t *into);

/* Everything to stdout at once; then forget it.  False: nobody reads any more. */
bool show_out(buf_t *text);

#endif
