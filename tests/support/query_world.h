/* query_world - random rows, deletes and upserts, in several layouts of segments, and a slow model
 *
 * All numbers in vectors are small integers, so that sums are exact, equal scores are
 * common, and the model can compute them in double.  A primary key decides its groups, so
 * that the same key twice is never a question of which group it is in.
 */
#ifndef TESTS_SUPPORT_QUERY_WORLD_H
#define TESTS_SUPPORT_QUERY_WORLD_H

#include "core/query/query.h"
#include "core/store/store.h"
#include "tests/support/random_rows.h"

enum { WORLD_ROWS = 3000, WORLD_OPS = 200, WORLD_SEGMENTS = 6, WORLD_DIM = 8 };

/* Fields by their place. */
enum {
    W_ID, W_TAG, W_NUM, W_TEXT, W_GROUP, W_KIND, W_F32, W_F16, W_BF16, W_I8, W_BITS, W_SPARSE,
    W_FIELDS
};

typedef struct world_op {
    uint64_t ts;
    bool deletes, inserts;      /* both: an upsert */
    size_t first, n;            /* rows whose keys are deleted, or that are inserted */
} world_op_t;

typedef struct world {
    ctx_t ctx;
    schema_t *schema;
    store_t *store;
    rng_t rng;
    random_rows_t rows;         /* all ever inserted, and the keys of deletes, in order */
    bool inserted[WORLD_ROWS];
    uint64_t ts[WORLD_ROWS];
    size_t n;
    world_op_t ops[WORLD_OPS];
    size_t n_ops;
    uint64_t next_segment;
    bool indexed;               /* sealed segments get indexes, of types and metrics by turns */
} world_t;

void world_init(world_t *self, type_t pk, uint64_t seed, size_t n_ops);
void world_fini(world_t *self);

/* The rows spread over segments. */
typedef struct layout {
    query_source_t sources[WORLD_SEGMENTS];
    size_t n;
} layout_t;

/* n segments; bit i of `sealed` says that segment i is sealed. */
void layout_init(layout_t *self, world_t *world, size_t n, unsigned sealed);
void layout_fini(layout_t *self);

bool world_visible(const world_t *self, size_t row, uint64_t read_ts);

/* Filters that the model knows too; text of filter i, NULL: there are no more. */
const char *world_filter(const world_t *self, size_t i);
bool world_takes(const world_t *self, size_t i, size_t row);

/* Append a random cell of a vector field. */
void world_vector(rng_t *rng, const field_t *field, column_builder_t *into);

/* The score of a row's vector against query q, as clients see it. */
float world_score(const world_t *self, size_t field, metric_t metric, const column_t *queries,
                  size_t q, size_t row);

/* Do `n` parts by calling run(ctx, arg, i), in a random order, on several threads.
 * Returns the first error. */
typedef err_t world_part_fn(ctx_t *ctx, void *arg, size_t i);
err_t world_run(uint64_t seed, size_t n_threads, world_part_fn *run, void *arg, size_t n);

#endif
