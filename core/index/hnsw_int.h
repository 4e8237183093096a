/* hnsw_int - a graph of near neighbours, in layers, between its files
 *
 *     hnsw_build.c    vectors ──► codes ──► graph ──► objects
 *     hnsw_open.c     objects ──► graph, validated
 *     hnsw_search.c   queries ──► a walk over codes ──► exact scores; filters, ranges
 *     hnsw_walk.c     codes, and the walk, which builds and searches share
 *
 * Malkov & Yashunin 2018.  Every row is a node of layer 0; a share of 1/M of a layer's nodes is
 * in the next one too.  A search goes greedily down from the top and looks around in layer 0.
 *
 * Codes.  A walk looks at some thousand rows, each somewhere else, so it is bound by the lines of
 * cache that it touches.  It sees a row as one byte a cell (the row's greatest cell is 127) with
 * two floats behind; the graph is built from codes too, and only the best of a walk are ranked
 * again with the vectors as they are, so scores have the bits of a scan.  For 100 floats these are
 * 2 lines instead of 7, and integers add up faster.  HNSW_SQ may go without the vectors; its
 * scores are then those of decoded rows.
 *
 *     distance(x, y) = by(x) · extra(y) + plus(x) − scale(x) · scale(y) · Σ code(x) code(y)
 *
 *     metric   scale, of                extra      by        plus
 *     L2       the row                  |y|²/2     1         |x|²/2, in searches 0
 *     COSINE   the row of length 1      1/|row|    0         0
 *     IP       the row                  e(y)       −e(x), in searches 0       0
 *
 * With IP the greatest vectors would be everybody's neighbours and nobody else anyone's.  So a
 * graph is built as if each row had one more cell e = √(max|x|² − |x|²), which makes all of one
 * length (Bachrach et al. 2014); a query's is 0, so nothing changes for it.
 *
 * Places are rows without the nulls, in the segment's order.  Upper nodes, those of layer 1, have
 * numbers of their own: the highest first, so layer l has the numbers below n_at[l].  Sections:
 *
 *     PARAMS   u32 M, u32 layers, u32 flags (1: RAW is there), u32 0, u32 n_at[HNSW_LAYERS]
 *     IDS      [n] u32 rising: the row of each place; only when there are nulls
 *     CODES    [n] int8 cells[dim], zeros, float32 scale, float32 extra; a multiple of 16 bytes
 *     LINKS    [n][2 M] u32 places, HNSW_NONE behind the last
 *     UPPER    u32 place of each upper node, then for each layer from 1 [n_at[l]][M] u32 numbers
 *     RAW      vectors by place, as the column has them; in several objects of equally many, the
 *              last one with the rest
 */
#ifndef CORE_INDEX_HNSW_INT_H
#define CORE_INDEX_HNSW_INT_H

#include "core/index/exact.h"
#include "core/index/index_int.h"

enum {
    HNSW_LAYERS = 16, HNSW_EF = 16, HNSW_PARAMS_BYTES = 16 + 4 * HNSW_LAYERS,
    HNSW_FLAG_RAW = 1,
};

#define HNSW_NONE UINT32_MAX

/* --- codes --------------------------------------------------------------------------------- */

typedef struct hnsw_codes {
    metric_t metric;
    size_t dim, block;          /* bytes of a row's */
    const uint8_t *at;
} hnsw_codes_t;

/* What a walk compares with. */
typedef struct hnsw_target {
    const int16_t *cells;       /* [block] with zeros behind dim */
    float scale, by, plus;
} hnsw_target_t;

size_t hnsw_block_bytes(size_t dim);

static inline const uint8_t *hnsw_code(const hnsw_codes_t *codes, size_t place)
{
    return codes->at + place * codes->block;
}

static inline float hnsw_scale(const hnsw_codes_t *codes, size_t place)
{
    float scale;
    memcpy(&scale, hnsw_code(codes, place) + codes->block - 8, sizeof scale);
    return scale;
}

static inline float hnsw_extra(const hnsw_codes_t *codes, size_t place)
{
    float extra;
    memcpy(&extra, hnsw_code(codes, place) + codes->block - 4, sizeof extra);
    return extra;
}

/* Make a row's code; IP: extra is |row|².
 *   row    [dim] float32
 *   norm2  its |row|² as the kernel has it */
void hnsw_encode(const hnsw_codes_t *codes, const float *row, float norm2, uint8_t *ret);

/* The row as float32s; COSINE: of length 1. */
void hnsw_decode(const hnsw_codes_t *codes, uint32_t place, float *ret);

/* A row of these, or a query, as a target. */
void hnsw_target_row(const hnsw_codes_t *codes, size_t place, int16_t *cells,
                     hnsw_target_t *ret);
void hnsw_target_query(const hnsw_codes_t *codes, const float *query, int16_t *cells,
                       hnsw_target_t *ret);

/* Distances of n places to a target. */
void hnsw_distances(const hnsw_codes_t *codes, const hnsw_target_t *target,
                    const uint32_t *places, size_t n, float *ret);

/* --- the walk ------------------------------------------------------------------------------- */

/* A layer; links are atomic words, because a build reads what another thread writes. */
typedef struct hnsw_layer {
    const uint32_t *links;      /* [..][degree] */
    size_t degree;
    const uint32_t *places;     /* of its nodes; NULL: nodes are places */
} hnsw_layer_t;

/* A node and its distance as one number, whose order is that of distances. */
typedef uint64_t hnsw_key_t;

hnsw_key_t hnsw_key(float distance, uint32_t node);
float hnsw_key_distance(hnsw_key_t key);
static inline uint32_t hnsw_key_node(hnsw_key_t key) { return (uint32_t)key >> 1; }

/* What one thread walks with. */
typedef struct hnsw_walker {
    const hnsw_codes_t *codes;
    uint64_t *seen;             /* owned; a bit for each node */
    size_t n_words;
    hnsw_key_t *pool;           /* owned; [cap] nearest first; the lowest bit: looked around */
    size_t n, cap;
    uint32_t *near, *near_places;       /* owned; [most] */
    float *distances;           /* owned; [most] */
    size_t most;
    int16_t *cells;             /* owned; [2][block] of targets */
} hnsw_walker_t;

/* For n nodes of at most `degree` links, and an ef of up to cap.  ERR_MEMORY, then fini is still
 * needed. */
err_t must_use hnsw_walker_init(ctx_t *ctx, hnsw_walker_t *self, const hnsw_codes_t *codes,
                                size_t n, size_t degree, size_t cap);
void hnsw_walker_fini(hnsw_walker_t *self);

/* The nearest node that can be reached by steps that each come nearer. */
uint32_t hnsw_descend(hnsw_walker_t *self, const hnsw_layer_t *layer,
                      const hnsw_target_t *target, uint32_t from);

/* Forget what was seen; put nodes to begin with into the pool. */
void hnsw_walk_begin(hnsw_walker_t *self);
void hnsw_walk_add(hnsw_walker_t *self, const hnsw_layer_t *layer, const hnsw_target_t *target,
                   uint32_t node, size_t ef);

/* Look around, nearest first, until none of the ef nearest is left: they are the pool. */
void hnsw_walk(hnsw_walker_t *self, const hnsw_layer_t *layer, const hnsw_target_t *target,
               size_t ef);

/* --- the index ------------------------------------------------------------------------------ */

typedef struct hnsw {
    index_t base;
    hnsw_codes_t codes;
    size_t n, degree, layers;   /* of layer 1 and up; layer 0 has twice as many */
    size_t n_at[HNSW_LAYERS];
    hnsw_layer_t at[HNSW_LAYERS];       /* borrowed from the objects, as all of these */
    exact_t exact;
    const uint8_t **raw;        /* owned array; [n_raw] */
    size_t n_raw;
} hnsw_t;

err_t must_use hnsw_build(ctx_t *ctx, const index_spec_t *spec, const index_source_t *source,
                          const index_sink_t *sink, const index_how_t *how, index_built_t *ret);
err_t must_use hnsw_open(ctx_t *ctx, const index_reader_t *reader, index_t **ret);
void hnsw_destroy(index_t *self);
err_t must_use hnsw_search(ctx_t *ctx, const index_t *self, const index_ask_t *ask,
                           topk_t *const *best);

#endif
