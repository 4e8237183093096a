/* field_parts - all cells of one field of one sealed segment, for who builds an index of them */
#ifndef CORE_SEGMENT_FIELD_PARTS_H
#define CORE_SEGMENT_FIELD_PARTS_H

#include "core/schema/column.h"
#include "core/store/store.h"

typedef struct field_part field_part_t;

typedef struct field_parts {
    field_part_t *at;           /* owned; [n] */
    column_t *columns;          /* owned; [n] borrowed from the parts, one after the other */
    size_t n, rows;
} field_parts_t;

/* Which cells. */
typedef struct field_parts_of {
    uint64_t segment, n_rows;
    const field_t *field;
    const char *const *binlogs; /* of the whole segment, as metadata names them */
    size_t n_binlogs;
} field_parts_of_t;

/* Read the field's binlogs; fini is needed after failures too.
 * Errors  of store_map; ERR_CORRUPT  they are damaged, or have another number of rows
 * Thread  blocks */
err_t must_use field_parts_init(ctx_t *ctx, field_parts_t *self, store_t *store,
                                const field_parts_of_t *of);
void field_parts_fini(field_parts_t *self);

#endif
