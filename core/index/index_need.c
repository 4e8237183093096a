/* index_need - memory that a build takes, before it is begun
 *
 * Beside the vectors, which the source holds. What is counted are the arrays that grow with rows;
 * what a thread works with is some hundred KiB and is not.
 */
#include "core/base/limits.h"
#include "core/index/pq.h"

enum {
    LIST_ROW = 16,              /* IVF: list, place, norm and term of a row */
    SAMPLE_POINTS = 128, SAMPLE_MOST = 256 << 20,   /* IVF: of each list; bytes of all */
    SAMPLE_ROW = 16,            /* beside a point: where it comes from and goes, list, order */
    CODED_LEAST = 1 << 15, SCANN_BITS = 4, PQ_BITS = 8,
    GRAPH_ROW = 13 + 16,        /* HNSW: order, layer and row; what is in a code beside cells */
    DISK_ROW = 24,              /* DISKANN: the same, and the code of PQ beside */
    SORT_TIMES = 4, SORT_MOST = 192 << 20,          /* sparse: a page of postings is sorted */
};

static uint64_t s_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Points of a sample, and what training takes for each of them. */
static uint64_t s_sample(uint64_t n, uint64_t point, uint64_t beside)
{
    return s_least(n, SAMPLE_MOST / point) * (point + beside + SAMPLE_ROW);
}

/* A codebook, and training PQ_TOGETHER of its m sub-vectors side by side. */
static uint64_t s_codebook(uint64_t dim, uint64_t m, uint64_t bits, uint64_t rows)
{
    uint64_t n = pq_sample(bits) > CODED_LEAST ? pq_sample(bits) : CODED_LEAST;
    uint64_t cells = dim / m + 1, beside = s_least(m, PQ_TOGETHER) * (cells + 2);
    return s_sample(s_least(rows, n), dim * sizeof(float), beside * sizeof(float)) +
           (dim * sizeof(float) << bits);
}

static uint64_t s_ivf_codebook(const index_spec_t *spec, uint64_t rows)
{
    if (spec->type == INDEX_SCANN)
        return s_codebook(spec->dim, (spec->dim + 1) / 2, SCANN_BITS, rows);
    return s_codebook(spec->dim, spec->m ? spec->m : 1, spec->nbits ? spec->nbits : PQ_BITS, rows);
}

static uint64_t s_ivf(const index_spec_t *spec, uint64_t rows)
{
    uint64_t point = spec->cells == CELL_BIN ? spec->dim / 8 : spec->dim * sizeof(float);
    uint64_t sample = s_sample(s_least(rows, spec->nlist * SAMPLE_POINTS), point, 0), coded = 0;
    if (spec->type == INDEX_IVF_PQ || spec->type == INDEX_SCANN)
        coded = s_ivf_codebook(spec, rows);
    return (sample > coded ? sample : coded) + rows * LIST_ROW;
}

static uint64_t s_hnsw(const index_spec_t *spec, uint64_t rows)
{
    uint64_t links = 2 * spec->degree * sizeof(uint32_t);
    return rows * (spec->dim + links + GRAPH_ROW);
}

static uint64_t s_disk(const index_spec_t *spec, uint64_t rows)
{
    uint64_t links = (1 + spec->degree + spec->degree / 2) * sizeof(uint32_t);
    uint64_t points = (spec->dim + 1) * sizeof(float);      /* IP has one cell more */
    return rows * (points + points / 8 + links + DISK_ROW) +
           s_codebook(spec->dim, spec->dim / 2 + 1, PQ_BITS, rows);
}

uint64_t index_build_need(const index_spec_t *spec, size_t rows, uint64_t bytes)
{
    uint64_t object = s_least(bytes, LIMIT_INDEX_OBJECT_BYTES);
    switch (spec->type) {
    case INDEX_HNSW:
    case INDEX_HNSW_SQ:
        return object + s_hnsw(spec, rows);
    case INDEX_DISKANN:
        return object + s_disk(spec, rows);
    case INDEX_SPARSE_INVERTED:
    case INDEX_SPARSE_WAND:
        return s_least(bytes * SORT_TIMES, SORT_MOST) + rows * LIST_ROW;
    case INDEX_IVF_FLAT:
    case INDEX_IVF_SQ8:
    case INDEX_IVF_PQ:
    case INDEX_SCANN:
    case INDEX_BIN_IVF_FLAT:
        return object + s_ivf(spec, rows);
    case INDEX_NONE:
    case INDEX_TYPES:
        break;
    }
    return 0;
}
