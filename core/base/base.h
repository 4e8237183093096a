/* base - the few words every file of Elanus uses
 *
 * What is here is vocabulary, not machinery: how a call says that it may
 * fail, who owns a pointer, what must never happen.  It pulls in the error
 * table, views, memory and the context, because no fallible call can be
 * declared without them.
 */
#ifndef CORE_BASE_BASE_H
#define CORE_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define must_use         __attribute__((warn_unused_result))
#define printf_like(f,a) __attribute__((format(printf, f, a)))

/* A pointer that destroys itself at the end of its scope.  Always initialise
 * it: `owned(map) m = NULL;`.  `take` hands the value on and disarms it. */
#define owned(T)  __attribute__((cleanup(T##_destroy))) T##_t *
#define take(p)   ({ __typeof__(p) take_ = (p); (p) = NULL; take_; })

/* Return early with the callee's error; the callee has already said why. */
#define TRY(call) do { err_t try_ = (call); if (try_ != OK) return try_; } while (0)

/* A programmer's mistake stops the process, in release builds too: going on
 * with a broken invariant is how acknowledged data gets lost. */
#define check(cond) \
    (__builtin_expect(!!(cond), 1) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

/* Walks over whole structures; debug, asan and tsan builds only. */
#ifdef ELANUS_SLOW_CHECKS
#define check_slow(cond) check(cond)
#else
#define check_slow(cond) ((void)0)
#endif

_Noreturn void check_failed(const char *file, int line, const char *cond);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#include "core/base/err.h"
#include "core/base/view.h"
#include "core/base/mem.h"
#include "core/base/ctx.h"

#endif
