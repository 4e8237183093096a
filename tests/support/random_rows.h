/* random_rows - a schema with every type, and seeded rows for it
 *
 * A batch owns its columns.  Tests that compare keep all batches' rows in one
 * more batch (random_rows_copy) and look cells up there.
 */
#ifndef TESTS_SUPPORT_RANDOM_ROWS_H
#define TESTS_SUPPORT_RANDOM_ROWS_H

#include "core/base/rng.h"
#include "core/schema/column.h"

enum { RANDOM_ROWS_FIELDS = 24 };

typedef struct random_rows {
    size_t n_fields;
    column_builder_t builders[RANDOM_ROWS_FIELDS];
    column_t columns[RANDOM_ROWS_FIELDS];       /* views, renewed by each call below */
} random_rows_t;

/* Every type, nullable and not; the key is the first field. */
schema_t *random_rows_schema(type_t pk);

void random_rows_init(random_rows_t *self, schema_t *schema);
void random_rows_fini(random_rows_t *self);

/* Append n rows with keys drawn from n_keys. */
void random_rows_add(random_rows_t *self, schema_t *schema, rng_t *rng, size_t n, uint64_t n_keys);

/* Append row `row` of other columns of the schema. */
void random_rows_copy(random_rows_t *self, const column_t *columns, size_t row);

/* The cell of key number i: same bytes in every test; room: at least 32 bytes. */
view_t random_rows_key(type_t pk, uint64_t i, uint8_t *room);

/* Equal cells and nulls of two rows of one field. */
bool random_rows_same(const column_t *a, size_t row_a, const column_t *b, size_t row_b);

#endif
