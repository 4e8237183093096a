/* gc_job - see gc_job.h */
#include "datanode/gc_job.h"

#include <stdio.h>

#include "datanode/data_record.h"

static const char *const s_prefixes[] = { "binlog/", "deltalog/", "stats/" };

enum { PAGE = 1000 };

gc_look_t *gc_look_new(store_t *store, int64_t before_ms)
{
    gc_look_t *self = mem_new(sizeof *self);
    ctx_init(&self->memory);
    vec_init(&self->found, sizeof(gc_found_t));
    self->store = store;
    self->before_ms = before_ms;
    return self;
}

void gc_look_destroy(gc_look_t **self_p)
{
    gc_look_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    vec_fini(&self->found);
    ctx_fini(&self->memory);
    mem_free(self);
}

static void s_find(gc_look_t *self, const store_list_t *list)
{
    for (size_t i = 0; i < list->n; i++) {
        gc_found_t found = { .key = list->at[i].key };
        int64_t at = attempts_wall_ms(found.key, &found.collection, &found.segment);
        if (at >= 0 && at < self->before_ms)
            vec_push(&self->found, &found);
    }
}

err_t gc_look_run(ctx_t *ctx, void *look)
{
    gc_look_t *self = look;
    self->found.len = 0;
    ctx_fini(&self->memory);
    ctx_init(&self->memory);
    store_list_t list = {0};
    err_t err = store_list(&self->memory, self->store, s_prefixes[self->kind],
                           self->after[0] ? self->after : NULL, PAGE, &list);
    if (err != OK)
        return ctx_fail(ctx, err, "%s", self->memory.text);
    s_find(self, &list);
    self->after[0] = '\0';
    if (list.more)
        snprintf(self->after, sizeof self->after, "%s", list.at[list.n - 1].key);
    else
        self->done = ++self->kind == ARRAY_LEN(s_prefixes);
    return OK;
}

gc_sweep_t *gc_sweep_new(store_t *store)
{
    gc_sweep_t *self = mem_new(sizeof *self);
    ctx_init(&self->memory);
    vec_init(&self->keys, sizeof(const char *));
    self->store = store;
    return self;
}

void gc_sweep_destroy(gc_sweep_t **self_p)
{
    gc_sweep_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    vec_fini(&self->keys);
    ctx_fini(&self->memory);
    mem_free(self);
}

void gc_sweep_add(gc_sweep_t *self, const char *key)
{
    const char *copy = ctx_strdup(&self->memory, key);
    vec_push(&self->keys, &copy);
}

err_t gc_sweep_run(ctx_t *ctx, void *sweep)
{
    gc_sweep_t *self = sweep;
    for (; self->n_done < self->keys.len; self->n_done++) {
        TRY(ctx_alive(ctx));
        TRY(store_delete(ctx, self->store, *(const char **)vec_at(&self->keys, self->n_done)));
    }
    return OK;
}
