/* ctx - one errand: its memory, its deadline, its trace, and what went wrong
 *
 * Every fallible call takes the context of the errand it works for.  The
 * place that knows why something failed says so once with ctx_fail; callers
 * pass the error on and may put a prefix before the text.  A context belongs
 * to one thread at a time; only `ctx_cancel` may come from another.
 */
#ifndef CORE_BASE_CTX_H
#define CORE_BASE_CTX_H

#include <stdatomic.h>
#include <stdarg.h>

#include "core/base/arena.h"
#include "core/base/base.h"

enum { CTX_TEXT_BYTES = 1024 };

struct ctx {
    arena_t arena;
    int64_t deadline_ms;        /* clock_mono_ms() time; INT64_MAX: none */
    uint64_t trace;             /* the same number in every daemon's log; 0: none */
    size_t budget_bytes;        /* most that mem_try and ctx_try may hand out; 0: no bound */
    size_t spent_bytes;
    _Atomic bool cancelled;
    err_t err;                  /* the last ctx_fail; OK when none */
    char text[CTX_TEXT_BYTES];
};

/* No deadline, no budget. */
void ctx_init(ctx_t *ctx);
void ctx_fini(ctx_t *ctx);

/* Record why and return err: `return ctx_fail(ctx, ERR_CORRUPT, "%s: magic", key);`
 * The text should let a person act.  An empty format takes the table's text. */
err_t ctx_fail(ctx_t *ctx, err_t err, const char *format, ...) printf_like(3, 4);

/* Put "prefix: " before the recorded text; returns the recorded error. */
err_t ctx_prefix(ctx_t *ctx, const char *format, ...) printf_like(2, 3);

/* Forget the error, keep everything else: before a retry. */
void ctx_clear(ctx_t *ctx);

/* Arena memory within the budget, zeroed; NULL when refused. */
void *ctx_try(ctx_t *ctx, size_t bytes);

/* Arena copies; abort only when the machine is out of memory, so only for
 * short, bounded things (names, keys). */
void *ctx_new(ctx_t *ctx, size_t bytes);
char *ctx_strdup(ctx_t *ctx, const char *text);
char *ctx_printf(ctx_t *ctx, const char *format, ...) printf_like(2, 3);

/* Arena copy of bytes, NUL-terminated behind the end; ERR_MEMORY when refused. */
err_t must_use ctx_copy(ctx_t *ctx, view_t bytes, view_t *ret);

/* Count bytes against the budget; false when that would exceed it. */
bool ctx_spend(ctx_t *ctx, size_t bytes);

/* Milliseconds to the deadline, 0 when past, INT64_MAX when none. */
int64_t ctx_left_ms(const ctx_t *ctx);

/* A deadline this many ms from now, if that is sooner than the present one. */
void ctx_limit_ms(ctx_t *ctx, int64_t ms);

/* OK, ERR_CANCELED or ERR_TIMEOUT; long loops ask now and then. */
err_t must_use ctx_alive(ctx_t *ctx);
void ctx_cancel(ctx_t *ctx);

#endif
