/* spans - see spans.h
 *
 * The traces' numbers lie beside the spans, not in them, so that looking for one reads
 * little memory.
 */
#include "core/base/spans.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/rng.h"

static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER;     /* a leaf */
static uint64_t s_traces[LIMIT_SPANS];
static span_t s_spans[LIMIT_SPANS];
static uint64_t s_next;                         /* its place is s_next % LIMIT_SPANS */

static uint64_t s_seed;
static pthread_once_t s_seed_once = PTHREAD_ONCE_INIT;

static void s_make_seed(void)
{
    s_seed = rng_from_os();
}

/* Counts, and mixes (splitmix64) so that processes do not meet. */
uint64_t spans_id(void)
{
    static _Atomic uint64_t s_count;
    pthread_once(&s_seed_once, s_make_seed);
    uint64_t id = s_seed + 0x9e3779b97f4a7c15u *
                           (atomic_fetch_add_explicit(&s_count, 1, memory_order_relaxed) + 1);
    id = (id ^ id >> 30) * 0xbf58476d1ce4e5b9u;
    id = (id ^ id >> 27) * 0x94d049bb133111ebu;
    id ^= id >> 31;
    return id ? id : 1;
}

void spans_end(trace_t of, uint64_t id, uint64_t node, span_kind_t kind, const char *name,
               int64_t since_us, err_t err)
{
    if (of.id == 0)
        return;
    int64_t took_us = clock_mono_us() - since_us;
    span_t span = {
        .id = id, .parent = of.span, .node = node, .kind = kind, .err = err, .took_us = took_us,
        .at_us = clock_wall_us() - took_us,
    };
    memcpy(span.name, name, strnlen(name, sizeof span.name - 1));
    pthread_mutex_lock(&s_lock);
    size_t at = s_next++ % LIMIT_SPANS;
    s_traces[at] = of.id;
    s_spans[at] = span;
    pthread_mutex_unlock(&s_lock);
}

static size_t s_find(uint64_t trace, uint64_t node, span_t *ret)
{
    size_t n = 0;
    uint64_t first = s_next > LIMIT_SPANS ? s_next - LIMIT_SPANS : 0;
    for (uint64_t i = first; i < s_next; i++) {
        size_t at = i % LIMIT_SPANS;
        if (s_traces[at] != trace || s_spans[at].node != node)
            continue;
        if (ret)
            ret[n] = s_spans[at];
        n++;
    }
    return n;
}

size_t spans_of(ctx_t *ctx, uint64_t trace, uint64_t node, span_t **ret)
{
    pthread_mutex_lock(&s_lock);
    size_t n = s_find(trace, node, NULL);
    *ret = ctx_new(ctx, (n + 1) * sizeof **ret);
    n = s_find(trace, node, *ret);
    pthread_mutex_unlock(&s_lock);
    return n;
}

const char *span_kind_name(span_kind_t kind)
{
    static const char *const s_names[] = { "request", "call", "answer", "job", "meta" };
    check((size_t)kind < ARRAY_LEN(s_names));
    return s_names[kind];
}
