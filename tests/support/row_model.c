/* row_model - see row_model.h */
#include "tests/support/row_model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/vec.h"

#define NEVER INT64_MAX

/* One write; the first of each key is that nothing was there. */
typedef struct {
    int64_t version;
    int who;
    int64_t began_us;
    int64_t done_us;            /* it took effect before this; NEVER: nobody knows */
    int64_t late_us;            /* it took effect, or was seen, after this */
    int64_t acked_us;           /* NEVER: it was not */
} change_t;

typedef struct {
    vec_t changes;              /* of change_t */
    int64_t seen;               /* by the look; ROW_ABSENT: not */
} history_t;

struct row_model {
    history_t *keys;            /* [n] */
    size_t n;
    row_look_t look;
    bool is_wrong;
    char wrong[800];
};

row_model_t *row_model_new(size_t n_keys)
{
    row_model_t *self = mem_new(sizeof *self);
    *self = (row_model_t){ .keys = mem_new(n_keys * sizeof(history_t)), .n = n_keys };
    for (size_t i = 0; i < n_keys; i++) {
        vec_init(&self->keys[i].changes, sizeof(change_t));
        vec_push(&self->keys[i].changes, &(change_t){ .version = ROW_ABSENT, .who = -1,
                 .began_us = -1, .done_us = -1, .late_us = -1, .acked_us = -1 });
    }
    return self;
}

void row_model_destroy(row_model_t **self_p)
{
    row_model_t *self = *self_p;
    for (size_t i = 0; self && i < self->n; i++)
        vec_fini(&self->keys[i].changes);
    if (self)
        mem_free(self->keys);
    mem_free(self);
    *self_p = NULL;
}

void row_model_wrong(row_model_t *self, const char *format, ...)
{
    if (self->is_wrong)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(self->wrong, sizeof self->wrong, format, args);
    va_end(args);
    self->is_wrong = true;
}

const char *row_model_verdict(const row_model_t *self)
{
    return self->is_wrong ? self->wrong : NULL;
}

static change_t *s_at(const row_model_t *self, size_t key, size_t i)
{
    return vec_at(&self->keys[key].changes, i);
}

static size_t s_count(const row_model_t *self, size_t key)
{
    return self->keys[key].changes.len;
}

bool row_model_never_written(const row_model_t *self, size_t key)
{
    return s_count(self, key) == 1;
}

void row_model_begin(row_model_t *self, size_t key, int64_t version, int who, int64_t now_us)
{
    check(key < self->n);
    vec_push(&self->keys[key].changes,
             &(change_t){ .version = version, .who = who, .began_us = now_us, .done_us = NEVER,
                          .late_us = now_us, .acked_us = NEVER });
}

static void s_done(change_t *change, int64_t now_us)
{
    change->done_us = now_us < change->done_us ? now_us : change->done_us;
}

void row_model_acked(row_model_t *self, size_t key, int64_t version, int64_t now_us)
{
    for (size_t i = s_count(self, key); i-- > 1; ) {
        change_t *change = s_at(self, key, i);
        if (change->version != version)
            continue;
        s_done(change, now_us);
        change->acked_us = now_us;
        return;
    }
    check(!"a write that nobody began");
}

void row_model_acked_delete(row_model_t *self, size_t key, int64_t began_us, int64_t now_us)
{
    for (size_t i = s_count(self, key); i-- > 1; ) {
        change_t *change = s_at(self, key, i);
        if (change->version != ROW_ABSENT || change->began_us != began_us)
            continue;
        s_done(change, now_us);
        change->acked_us = now_us;
        return;
    }
    check(!"a delete that nobody began");
}

/* --- looks -------------------------------------------------------------------------- */

void row_model_look(row_model_t *self, const row_look_t *look)
{
    self->look = *look;
    for (size_t i = 0; i < self->n; i++)
        self->keys[i].seen = ROW_ABSENT;
}

void row_model_see(row_model_t *self, int64_t key, int64_t version)
{
    if (key < 0 || (size_t)key >= self->n)
        row_model_wrong(self, "phantom: client %d sees key %" PRId64 ", which nobody wrote",
                        self->look.who, key);
    else if (self->keys[key].seen != ROW_ABSENT)
        row_model_wrong(self, "duplicate: client %d sees key %" PRId64 " as %" PRId64 " and %"
                        PRId64, self->look.who, key, self->keys[key].seen, version);
    else
        self->keys[key].seen = version;
}

/* Was this one overwritten before the look began?  By whom is told in *ret. */
static bool s_is_over(const row_model_t *self, size_t key, const change_t *change,
                      const row_look_t *look, const change_t **ret)
{
    for (size_t i = 1; i < s_count(self, key); i++) {
        const change_t *other = s_at(self, key, i);
        int64_t done = look->level == ROW_STRONG ? other->done_us
                     : look->level == ROW_SESSION && other->who == look->who ? other->acked_us
                     : NEVER;
        if (other == change || done >= look->from_us || change->done_us >= other->late_us)
            continue;
        *ret = other;
        return true;
    }
    return false;
}

/* What may have been seen as this version; *ret_n: how many. */
static change_t *s_explain(const row_model_t *self, size_t key, int64_t version,
                           const row_look_t *look, size_t *ret_n, const change_t **ret_over)
{
    change_t *found = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < s_count(self, key); i++) {
        change_t *change = s_at(self, key, i);
        if (change->version != version || change->began_us >= look->until_us ||
            s_is_over(self, key, change, look, ret_over))
            continue;
        found = change;
        ++*ret_n;
    }
    return found;
}

static bool s_known(const row_model_t *self, size_t key, int64_t version)
{
    for (size_t i = 0; i < s_count(self, key); i++)
        if (s_at(self, key, i)->version == version)
            return true;
    return false;
}

static void s_complain(row_model_t *self, size_t key, int64_t version, const change_t *over)
{
    static const char *const s_levels[] = { "Eventually", "Session", "Strong" };
    const char *what = !s_known(self, key, version) ? "phantom"
                     : version == ROW_ABSENT ? "lost" : over && over->version == ROW_ABSENT
                     ? "resurrected" : "stale";
    row_model_wrong(self, "%s: client %d, reading %s from %" PRId64 " to %" PRId64
                    ", sees key %zu as version %" PRId64 "; version %" PRId64 " began at %" PRId64
                    ", was done at %" PRId64 " and acknowledged at %" PRId64, what,
                    self->look.who, s_levels[self->look.level], self->look.from_us,
                    self->look.until_us, key, version, over ? over->version : -1,
                    over ? over->began_us : 0, over ? over->done_us : 0,
                    over ? over->acked_us : 0);
}

void row_model_compare(row_model_t *self, size_t key)
{
    const row_look_t *look = &self->look;
    const change_t *over = NULL;
    size_t n = 0;
    int64_t version = self->keys[key].seen;
    change_t *change = s_explain(self, key, version, look, &n, &over);
    if (!change) {
        s_complain(self, key, version, over);
        return;
    }
    if (n > 1 || (version == ROW_ABSENT && look->level != ROW_STRONG))
        return;
    s_done(change, look->until_us);
    if (look->level == ROW_STRONG && look->from_us > change->late_us)
        change->late_us = look->from_us;
}

void row_model_compare_all(row_model_t *self)
{
    for (size_t key = 0; key < self->n; key++)
        row_model_compare(self, key);
}

void row_model_count(row_model_t *self, const row_look_t *look, int64_t count)
{
    int64_t least = 0, most = 0;
    for (size_t key = 0; key < self->n; key++) {
        bool absent = false, there = false;
        const change_t *over = NULL;
        for (size_t i = 0; i < s_count(self, key); i++) {
            const change_t *change = s_at(self, key, i);
            bool may = change->began_us < look->until_us &&
                       !s_is_over(self, key, change, look, &over);
            absent |= may && change->version == ROW_ABSENT;
            there |= may && change->version != ROW_ABSENT;
        }
        least += !absent;
        most += there;
    }
    if (count < least || count > most)
        row_model_wrong(self, "count: client %d counts %" PRId64 " rows from %" PRId64 " to %"
                        PRId64 "; there are %" PRId64 " to %" PRId64, look->who, count,
                        look->from_us, look->until_us, least, most);
}
