/* meta_memory - records in a sorted array: a table for tests and simulations
 *
 * Finding is a binary search, inserting moves pointers; at the few thousand
 * keys that a test has, nothing beats that for simplicity.
 */
#include "core/meta/meta_local.h"

#include "core/base/vec.h"

typedef struct row {
    size_t value_len;
    int64_t create_rev, mod_rev, lease;
    uint8_t *value;             /* in this block, behind the key */
    char key[];
} row_t;

typedef struct memory {
    vec_t rows;                 /* row_t *, by key */
} memory_t;

static row_t *s_row(const memory_t *self, size_t i)
{
    return *(row_t **)vec_at(&self->rows, i);
}

/* Place of the first key that is not before `key`. */
static size_t s_lower_bound(const memory_t *self, const char *key)
{
    size_t low = 0, high = self->rows.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(s_row(self, mid)->key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool s_is_at(const memory_t *self, size_t i, const char *key)
{
    return i < self->rows.len && strcmp(s_row(self, i)->key, key) == 0;
}

static err_t s_copy_out(ctx_t *ctx, const row_t *row, bool with_value, meta_item_t *ret)
{
    view_t key = {0}, value = {0};
    TRY(ctx_copy(ctx, view_str(row->key), &key));
    if (with_value)
        TRY(ctx_copy(ctx, view_of(row->value, row->value_len), &value));
    *ret = (meta_item_t){ .key = (const char *)key.ptr, .value = value, .lease = row->lease,
                          .create_rev = row->create_rev, .mod_rev = row->mod_rev };
    return OK;
}

static err_t s_get(ctx_t *ctx, void *rows, const char *key, bool with_value, meta_item_t *ret)
{
    const memory_t *self = rows;
    size_t at = s_lower_bound(self, key);
    if (!s_is_at(self, at, key))
        return ERR_KEY_NOT_FOUND;
    return s_copy_out(ctx, s_row(self, at), with_value, ret);
}

static err_t s_scan(ctx_t *ctx, void *rows, const char *prefix, bool with_values,
                    meta_items_t *ret)
{
    const memory_t *self = rows;
    size_t cap = 0;
    for (size_t i = s_lower_bound(self, prefix); i < self->rows.len; i++) {
        if (!view_starts(view_str(s_row(self, i)->key), view_str(prefix)))
            break;
        meta_item_t item = {0};
        TRY(s_copy_out(ctx, s_row(self, i), with_values, &item));
        TRY(meta_items_push(ctx, ret, &cap, &item));
    }
    return OK;
}

static row_t *s_new_row(ctx_t *ctx, const meta_item_t *item)
{
    size_t key_len = strlen(item->key) + 1;
    row_t *row = mem_try(ctx, sizeof *row + key_len + item->value.len);
    if (!row)
        return NULL;
    memcpy(row->key, item->key, key_len);
    row->value = (uint8_t *)row->key + key_len;
    row->value_len = item->value.len;
    if (item->value.len)
        memcpy(row->value, item->value.ptr, item->value.len);
    row->create_rev = item->create_rev;
    row->mod_rev = item->mod_rev;
    row->lease = item->lease;
    return row;
}

/* Put row (NULL: nothing) in place of what has the key. */
static void s_replace(memory_t *self, const char *key, row_t *row)
{
    size_t at = s_lower_bound(self, key);
    if (s_is_at(self, at, key)) {
        mem_free(s_row(self, at));
        if (row)
            *(row_t **)vec_at(&self->rows, at) = row;
        else
            vec_remove(&self->rows, at);
    } else if (row) {
        vec_push(&self->rows, &row);
        row_t **all = self->rows.ptr;
        memmove(&all[at + 1], &all[at], (self->rows.len - 1 - at) * sizeof *all);
        all[at] = row;
    }
}

/* Everything that can be refused comes first, so that the rest cannot fail. */
static err_t s_apply(ctx_t *ctx, void *rows, const meta_change_t *changes, size_t n, int64_t rev)
{
    memory_t *self = rows;
    row_t **fresh = mem_try(ctx, n * sizeof *fresh);
    bool refused = fresh == NULL;
    for (size_t i = 0; i < n && !refused; i++)
        if (changes[i].kind == META_WATCH_PUT)
            refused = (fresh[i] = s_new_row(ctx, &changes[i].item)) == NULL;
    for (size_t i = 0; i < n && fresh; i++) {
        if (refused)
            mem_free(fresh[i]);
        else
            s_replace(self, changes[i].item.key, fresh[i]);
    }
    mem_free(fresh);
    return refused ? ctx_fail(ctx, ERR_MEMORY, "no memory for %zu metadata changes", n) : OK;
}

static void s_destroy(void **rows_p)
{
    memory_t *self = *rows_p;
    for (size_t i = 0; i < self->rows.len; i++)
        mem_free(s_row(self, i));
    vec_fini(&self->rows);
    mem_free(self);
    *rows_p = NULL;
}

meta_t *meta_memory_new(int64_t (*now_ms)(void *arg), void *arg)
{
    static const local_table_t s_table = { s_get, s_scan, s_apply, s_destroy };
    memory_t *self = mem_new(sizeof *self);
    vec_init(&self->rows, sizeof(row_t *));
    return meta_local_new(&s_table, self, 1, now_ms, arg);
}
