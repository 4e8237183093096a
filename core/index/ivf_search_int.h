/* ivf_search_int - one search of an inverted file, between its files */
#ifndef CORE_INDEX_IVF_SEARCH_INT_H
#define CORE_INDEX_IVF_SEARCH_INT_H

#include "core/index/ivf_int.h"

enum {
    IVF_BATCH = 256, IVF_BATCH_BYTES = 4 << 20, /* queries together; their coarse scores */
    IVF_QUERIES = 12,                           /* in a tile; a multiple of every level's TILE_Q */
    IVF_BLOCK_BYTES = 32 << 10, IVF_BLOCK_ROWS = 512, IVF_COARSE_ROWS = 64,
};

typedef struct ivf_probe { uint32_t list, query; } ivf_probe_t;

typedef struct ivf_work {
    const ivf_t *of;
    const index_ask_t *ask;
    const simd_ops_t *ops;
    topk_t *const *best;        /* of all queries of the ask */
    size_t nprobe, query_bytes;
    bool exact;                 /* only what the filter keeps is looked at, all of it */
    bitset_t here;              /* owned; [of->n] places that are kept; words NULL: not looked up */
    bool places;                /* what is kept is looked up by place */
    bool fast;                  /* SCANN: codes choose, then vectors decide */
    size_t q, n;                /* the batch: queries [q, q + n) */
    const uint8_t *coarse;      /* [n] as the centroids want them */
    float *floats;              /* owned; coarse, where they are not the queries themselves */
    float *scores;              /* owned; [n][nlist] of centroids */
    ivf_probe_t *probes;        /* owned; [n][nprobe] */
    uint32_t *counts;           /* owned; [nlist + 1] */
    topk_hit_t *hits;           /* owned; [nprobe] */
    topk_t *nearest;            /* owned; NULL: nprobe is more than a top-k takes, or all */
    uint64_t *seen;             /* owned; [n] rows a query got to see */
    uint8_t *gathered;          /* owned; [IVF_QUERIES] queries of a tile */

    size_t prepared;            /* query of the batch that what follows is of; SIZE_MAX: none */
    float *tables;              /* owned; IVF_SQ8: the query in bytes' terms; else pq_tables */
    float first;                /* IVF_SQ8 by IP: what all rows have */

    /* SCANN: q·residual is about quick_low + quick_unit * sum of quick tables */
    uint8_t *quick;             /* owned; [groups] tables */
    float quick_low, quick_unit;
    unsigned quick_most;        /* greatest sum there is */
    size_t reorder;
    topk_t *chosen;             /* owned; places by their approximate score */
    topk_hit_t *chosen_hits;    /* owned; [reorder] */

    float *block;               /* borrowed, as the next; [IVF_QUERIES * IVF_BLOCK_ROWS] */
    uint32_t *kept, *rows;      /* [IVF_BLOCK_ROWS] */
} ivf_work_t;

static inline const uint8_t *ivf_query(const ivf_work_t *w, size_t q)
{
    return (const uint8_t *)w->ask->queries + (w->q + q) * w->query_bytes;
}

static inline const float *ivf_float_query(const ivf_work_t *w, size_t q)
{
    return (const float *)(const void *)w->coarse + q * w->of->dim;
}

/* 1 / |query|; 1 where nothing is divided. */
static inline float ivf_factor(const ivf_work_t *w, size_t q)
{
    return w->ask->factors ? w->ask->factors[w->q + q] : 1;
}

/* Room for what ivf_rows_prepare makes.  ERR_MEMORY */
err_t must_use ivf_rows_room(ctx_t *ctx, ivf_work_t *w);

/* Make what rows are scored with for query q of the batch; vectors need nothing. */
void ivf_rows_prepare(ivf_work_t *w, size_t q);

/* Score the rows of one list for query q and add them; returns how many lie within the radius. */
size_t ivf_rows_read(ivf_work_t *w, size_t list, size_t q);

/* The same for up to all queries that want it.  IVF_FLAT, BIN_IVF_FLAT */
void ivf_rows_read_for(ivf_work_t *w, size_t list, const ivf_probe_t *probes, size_t n);

/* May rows be scored one by one?  Not out of blocks. */
bool ivf_rows_are_alone(const ivf_t *of);

/* Find the places of what the filter keeps.  ERR_MEMORY */
err_t must_use ivf_rows_find_kept(ctx_t *ctx, ivf_work_t *w);

/* Score all rows that the filter keeps, and only those; codes want the scores of centroids. */
err_t must_use ivf_rows_read_kept(ctx_t *ctx, ivf_work_t *w, size_t q);

/* --- SCANN ---------------------------------------------------------------------------------- */

err_t must_use ivf_fast_room(ctx_t *ctx, ivf_work_t *w);
void ivf_fast_fini(ivf_work_t *w);
void ivf_fast_prepare(ivf_work_t *w, size_t q);
void ivf_fast_read(ivf_work_t *w, size_t list, size_t q);

/* Score what was chosen, and add it. */
void ivf_fast_finish(ivf_work_t *w, size_t q);

/* Scores of rows by place from their decoded codes. */
void ivf_rows_decoded(const ivf_work_t *w, const uint32_t *places, size_t n, size_t q, float *ret);

#endif
