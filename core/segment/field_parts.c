/* field_parts - see field_parts.h */
#include "core/segment/field_parts.h"

#include <stdlib.h>

#include "core/segment/binlog.h"

struct field_part {
    store_mapping_t map;
    binlog_t *binlog;
    void *memory;               /* owned */
};

void field_parts_fini(field_parts_t *self)
{
    for (size_t i = 0; i < self->n; i++) {
        mem_free(self->at[i].memory);
        binlog_destroy(&self->at[i].binlog);
        store_unmap(&self->at[i].map);
    }
    mem_free(self->at);
    mem_free(self->columns);
    *self = (field_parts_t){0};
}

/* Keys are …/<field>/<attempt>-<part> (core/segment/flush.c). */
static bool s_is_of(const char *key, int64_t field)
{
    const char *last = strrchr(key, '/'), *at = last;
    while (at && at > key && at[-1] != '/')
        at--;
    char *end = NULL;
    return at && at != last && strtoll(at, &end, 10) == field && end == last;
}

static err_t s_open(ctx_t *ctx, store_t *store, const field_parts_of_t *of, const char *key,
                    field_parts_t *self)
{
    column_t *column = &self->columns[self->n];
    field_part_t *part = &self->at[self->n++];
    TRY(store_map(ctx, store, key, &part->map));
    TRY(binlog_open(ctx, part->map.body, key, &part->binlog));
    TRY(binlog_expect(ctx, part->binlog, of->field, of->segment, self->rows));
    TRY(binlog_load(ctx, part->binlog, &part->memory, column));
    self->rows += column->n;
    return OK;
}

err_t field_parts_init(ctx_t *ctx, field_parts_t *self, store_t *store, const field_parts_of_t *of)
{
    *self = (field_parts_t){0};
    self->at = mem_new(of->n_binlogs * sizeof *self->at);
    self->columns = mem_new(of->n_binlogs * sizeof *self->columns);
    for (size_t i = 0; i < of->n_binlogs; i++)
        if (s_is_of(of->binlogs[i], of->field->id))
            TRY(s_open(ctx, store, of, of->binlogs[i], self));
    if (self->rows != of->n_rows)
        return ctx_fail(ctx, ERR_CORRUPT, "segment %llu has %zu cells of field %lld in its "
                        "files, expected were %llu", (unsigned long long)of->segment, self->rows,
                        (long long)of->field->id, (unsigned long long)of->n_rows);
    return OK;
}
