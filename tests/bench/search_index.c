/* search_index - our side of bench_index.py: build an index over a file of float32 vectors, and
 * search it
 *
 *     search_index BASE QUERIES DIM NLIST K ROUNDS HITS NPROBE…
 *
 * Prints a line "build MS BYTES", then, for each nprobe, "search NPROBE SINGLE_QPS BATCH_QPS":
 * medians of the rounds, one query a call and all queries in one.  Times are the thread's CPU
 * time, so a busy machine does not blur them.  HITS gets the rows found: u32
 * [nprobe][query][K].
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/index/index.h"

enum { MOST_ROUNDS = 99, MOST_OBJECTS = 16 };

typedef struct side {
    ctx_t ctx;
    float *base, *queries;
    size_t n, nq, dim, k, rounds;
    buf_t objects[MOST_OBJECTS];
    index_t *index;
    topk_t **best;
} side_t;

static double s_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static float *s_file(const char *path, size_t dim, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    check(f && fseek(f, 0, SEEK_END) == 0);
    size_t bytes = (size_t)ftell(f);
    rewind(f);
    float *all = mem_new(bytes);
    check(fread(all, 1, bytes, f) == bytes);
    fclose(f);
    *ret_n = bytes / dim / sizeof(float);
    return all;
}

static err_t s_read(ctx_t *ctx, void *arg, size_t from, index_rows_t *ret)
{
    (void)ctx;
    const side_t *self = arg;
    *ret = (index_rows_t){ .cells = (const uint8_t *)(self->base + from * self->dim),
                           .n = self->n - from };
    return OK;
}

static err_t s_put(ctx_t *ctx, void *arg, size_t number, view_t bytes)
{
    (void)ctx;
    side_t *self = arg;
    check(number < MOST_OBJECTS);
    buf_add_view(&self->objects[number], bytes);
    return OK;
}

static void s_build(side_t *self, size_t nlist)
{
    index_spec_t spec = { .type = INDEX_IVF_FLAT, .metric = METRIC_L2, .cells = CELL_F32,
                          .dim = self->dim, .seed = 1, .nlist = nlist };
    index_source_t source = { .n_rows = self->n, .read = s_read, .arg = self };
    index_sink_t sink = { s_put, self };
    index_built_t built;
    double begin = s_now_ms();
    check(index_build(&self->ctx, &spec, &source, &sink, NULL, &built) == OK);
    printf("build %.1f %llu\n", s_now_ms() - begin, (unsigned long long)built.bytes);
    index_blob_t blobs[MOST_OBJECTS];
    for (size_t i = 0; i < built.n_objects; i++)
        blobs[i] = (index_blob_t){ .name = "bench", .bytes = buf_view(&self->objects[i]) };
    check(index_open(&self->ctx, blobs, built.n_objects, &self->index) == OK);
}

/* Queries per second of one pass, `batch` queries a call. */
static double s_pass(side_t *self, size_t nprobe, size_t batch)
{
    double begin = s_now_ms();
    for (size_t q = 0; q < self->nq; q += batch) {
        index_ask_t ask = { .queries = self->queries + q * self->dim, .want = self->k,
                            .n_queries = self->nq - q < batch ? self->nq - q : batch,
                            .knobs = { .nprobe = nprobe } };
        for (size_t i = 0; i < ask.n_queries; i++)
            topk_reset(self->best[q + i]);
        check(index_search(&self->ctx, self->index, &ask, self->best + q) == OK);
    }
    return (double)self->nq * 1e3 / (s_now_ms() - begin);
}

static int s_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double s_median(side_t *self, size_t nprobe, size_t batch)
{
    double qps[MOST_ROUNDS];
    for (size_t r = 0; r < self->rounds; r++)
        qps[r] = s_pass(self, nprobe, batch);
    qsort(qps, self->rounds, sizeof *qps, s_compare);
    return qps[self->rounds / 2];
}

static void s_write_hits(side_t *self, FILE *f)
{
    topk_hit_t *hits = mem_new(self->k * sizeof *hits);
    for (size_t q = 0; q < self->nq; q++) {
        size_t n = topk_hits(self->best[q], hits);
        for (size_t i = 0; i < self->k; i++) {
            uint32_t row = i < n ? hits[i].row : UINT32_MAX;
            check(fwrite(&row, sizeof row, 1, f) == 1);
        }
    }
    mem_free(hits);
}

int main(int argc, char **argv)
{
    static side_t self;
    check(argc >= 9);
    ctx_init(&self.ctx);
    self.dim = strtoul(argv[3], NULL, 10);
    self.k = strtoul(argv[5], NULL, 10);
    self.rounds = strtoul(argv[6], NULL, 10);
    check(self.rounds >= 1 && self.rounds <= MOST_ROUNDS);
    self.base = s_file(argv[1], self.dim, &self.n);
    self.queries = s_file(argv[2], self.dim, &self.nq);
    self.best = mem_new(self.nq * sizeof *self.best);
    for (size_t q = 0; q < self.nq; q++)
        check(topk_new(&self.ctx, self.k, false, &self.best[q]) == OK);
    s_build(&self, strtoul(argv[4], NULL, 10));
    FILE *hits = fopen(argv[7], "wb");
    check(hits);
    for (int i = 8; i < argc; i++) {
        size_t nprobe = strtoul(argv[i], NULL, 10);
        double single = s_median(&self, nprobe, 1), batch = s_median(&self, nprobe, self.nq);
        printf("search %zu %.1f %.1f\n", nprobe, single, batch);
        s_write_hits(&self, hits);
    }
    fclose(hits);
    for (size_t q = 0; q < self.nq; q++)
        topk_destroy(&self.best[q]);
    index_destroy(&self.index);
    return 0;
}
