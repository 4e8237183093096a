/* rows - what a client wants written, as columns
 *
 * A client sends a message per field, in any order, packed as protobuf packs:
 * this turns them into the columns of a schema and refuses what does not fit,
 * field by field, with Milvus's codes and texts.  Cells that already lie as a
 * column wants them (64-bit and 32-bit integers, floats, dense vectors) are not
 * copied: the columns borrow from the message, which must outlive them.
 *
 *     INSERT   every field but an automatic primary key has to be there
 *     UPSERT   the primary key has to be there, an automatic one too: it names the
 *              row to replace, and the new row gets a new key
 *
 * Rows left out: a nullable field's `valid_data` says which, its values are
 * those of the others; they become null, or the field's default if it has one.
 */
#ifndef PROXY_ROWS_H
#define PROXY_ROWS_H

#include "core/schema/column.h"
#include "milvus.pb-c.h"

typedef enum { ROWS_INSERT, ROWS_UPSERT } rows_kind_t;

typedef struct rows_input {
    rows_kind_t kind;
    schema_t *schema;           /* borrowed */
    Schema__FieldData *const *data;
    size_t n_data;
    uint32_t n_rows;            /* as the client says; checked against every field */
} rows_input_t;

typedef struct rows {
    size_t n;
    column_t *columns;          /* [schema_len], in the schema's order; arena or borrowed */
    bool numbered;              /* the primary key is there; else rows_number is due */
    const column_t *replaced;   /* UPSERT with automatic keys: those the client named */
} rows_t;

/* Check and convert.
 * Errors  Milvus's, with its texts; ERR_MEMORY over the budget of ctx
 * Cost    a look at every float and text; a copy of what does not lie as it should */
err_t must_use rows_read(ctx_t *ctx, const rows_input_t *in, rows_t *ret);

/* Automatic keys: first, first + 1, … as numbers, or as their decimal texts. */
err_t must_use rows_number(ctx_t *ctx, const schema_t *schema, rows_t *rows, uint64_t first);

/* Rows of a column by their numbers, in this order, as a column in the arena; rows NULL: the
 * first n, borrowed. */
err_t must_use rows_take(ctx_t *ctx, const column_t *from, const uint32_t *rows, size_t n,
                         column_t *ret);

#endif
