/* like - string patterns: % is any run of characters, _ is one, \ takes the next as it is
 *
 * Patterns without _ and with % at the ends only, nearly all there are, become
 * a comparison of a prefix, a suffix or an inner part.  The rest runs through
 * a matcher that remembers one place to come back to, the last %: pattern
 * times text at worst, never exponential.
 */
#ifndef CORE_EXPR_LIKE_H
#define CORE_EXPR_LIKE_H

#include "core/base/base.h"

typedef enum like_kind {
    LIKE_EQUAL, LIKE_PREFIX, LIKE_SUFFIX, LIKE_INNER, LIKE_GENERAL,
} like_kind_t;

typedef struct like {
    like_kind_t kind;
    view_t part;                /* what to compare; of GENERAL: the pattern's bytes, unescaped */
    const uint8_t *marks;       /* GENERAL: [part.len] which bytes are wildcards */
} like_t;

/* Compile into memory of ctx's arena.  ERR_MEMORY. */
err_t must_use like_compile(ctx_t *ctx, view_t pattern, like_t *ret);

/* Does the whole text match?  Case matters; _ takes one UTF-8 character. */
bool like_match(const like_t *self, view_t text);

#endif
