/* key_model - see key_model.h */
#include "tests/support/key_model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/vec.h"

typedef struct { uint64_t from, ts; int64_t version; } past_t;  /* done between, seen since ts */

typedef struct {
    vec_t pasts;                /* of past_t, as acknowledged */
    bool under_way;
    past_t next;
    int64_t seen;
} history_t;

struct key_model {
    history_t *keys;            /* [n] */
    size_t n;
    const char *who;
    bool is_wrong;
    char wrong[512];
};

key_model_t *key_model_new(size_t n_keys)
{
    key_model_t *self = mem_new(sizeof *self);
    *self = (key_model_t){ .keys = mem_new(n_keys * sizeof(history_t)), .n = n_keys };
    for (size_t i = 0; i < n_keys; i++)
        vec_init(&self->keys[i].pasts, sizeof(past_t));
    return self;
}

void key_model_destroy(key_model_t **self_p)
{
    key_model_t *self = *self_p;
    for (size_t i = 0; self && i < self->n; i++)
        vec_fini(&self->keys[i].pasts);
    if (self)
        mem_free(self->keys);
    mem_free(self);
    *self_p = NULL;
}

void key_model_wrong(key_model_t *self, const char *format, ...)
{
    if (self->is_wrong)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(self->wrong, sizeof self->wrong, format, args);
    va_end(args);
    self->is_wrong = true;
}

const char *key_model_verdict(const key_model_t *self)
{
    return self->is_wrong ? self->wrong : NULL;
}

void key_model_begin(key_model_t *self, int64_t key, int64_t version)
{
    self->keys[key].under_way = true;
    self->keys[key].next.version = version;
}

void key_model_acked_by(key_model_t *self, int64_t key, uint64_t from, uint64_t ts)
{
    history_t *h = &self->keys[key];
    h->under_way = false;
    h->next.from = from;
    h->next.ts = ts;
    vec_push(&h->pasts, &h->next);
}

void key_model_acked(key_model_t *self, int64_t key, uint64_t ts)
{
    key_model_acked_by(self, key, ts, ts);
}

int64_t key_model_newest(const key_model_t *self, int64_t key)
{
    const vec_t *pasts = &self->keys[key].pasts;
    return pasts->len ? ((past_t *)vec_at(pasts, pasts->len - 1))->version : KEY_ABSENT;
}

void key_model_look(key_model_t *self, const char *who)
{
    self->who = who;
    for (size_t i = 0; i < self->n; i++)
        self->keys[i].seen = KEY_ABSENT;
}

void key_model_see(key_model_t *self, int64_t key, int64_t version)
{
    if (key < 0 || (size_t)key >= self->n)
        key_model_wrong(self, "%s sees key %" PRId64 ", which nobody wrote", self->who, key);
    else if (self->keys[key].seen != KEY_ABSENT)
        key_model_wrong(self, "%s sees key %" PRId64 " twice, as %" PRId64 " and %" PRId64,
                        self->who, key, self->keys[key].seen, version);
    else
        self->keys[key].seen = version;
}

static void s_compare(key_model_t *self, int64_t key, uint64_t ts)
{
    const history_t *h = &self->keys[key];
    past_t want = { .version = KEY_ABSENT };
    bool early = false;
    for (size_t i = 0; i < h->pasts.len; i++) {
        const past_t *past = vec_at(&h->pasts, i);
        early |= past->from <= ts && ts < past->ts && h->seen == past->version;
        want = past->ts <= ts ? *past : want;
    }
    if (early || h->seen == want.version || (h->under_way && h->seen == h->next.version))
        return;
    key_model_wrong(self, "%s sees key %" PRId64 " as %" PRId64 " at %" PRIu64 ", it is %" PRId64
                    " since %" PRIu64, self->who, key, h->seen, ts, want.version, want.ts);
}

void key_model_compare(key_model_t *self, int64_t of, int64_t rest, uint64_t ts)
{
    for (int64_t key = rest; (size_t)key < self->n; key += of)
        s_compare(self, key, ts);
}
