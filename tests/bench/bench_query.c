/* bench_query - how long a search over one segment takes, and what core/query adds to the kernels
 *
 *     build/release/bench/bench_query [ROUNDS] [JSON]             11, build/bench/query.json
 *
 * Two collections of random float vectors, 341,479 x 100 and 100,000 x 128, as one sealed
 * segment each and as a growing one; top 10.  "kernel" is brute_search alone over
 * the same rows, in one thread: the share of it that one thread of a whole search reaches is
 * what parts, visibility, merging and reading the hits cost.  Lines take turns; a figure is the
 * median of the rounds.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/pool.h"
#include "core/base/rng.h"
#include "core/query/query.h"
#include "core/segment/flush.h"
#include "core/simd/brute.h"
#include "core/store/store.h"

enum { MOST_ROUNDS = 99, MOST_LINES = 64, BATCH = 5000, TOPK = 10, MOST_NQ = 100 };
enum { F_ID, F_NUM, F_VEC, FIELDS };

typedef struct data {
    size_t n, dim;
    schema_t *schema;
    float *vectors;
    growing_t *growing;
    sealed_t *sealed;
} data_t;

typedef struct line {
    const char *what;           /* "kernel", "sealed", "growing", "count" */
    const data_t *data;
    metric_t metric;
    size_t nq;
    const char *filter;         /* NULL: none */
    double kept;
    int threads;
    double ms[MOST_ROUNDS], cpu_ms[MOST_ROUNDS];
} line_t;

static ctx_t s_ctx;
static line_t s_lines[MOST_LINES];
static size_t s_n_lines;
static pool_t *s_pool;

static double s_now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* --- data ---------------------------------------------------------------- */

static void s_append(data_t *data, size_t from, size_t n)
{
    int64_t *ids = mem_new(n * sizeof *ids);
    int32_t *nums = mem_new(n * sizeof *nums);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int64_t)(from + i);
        nums[i] = (int32_t)((from + i) * 2654435761u % 1000);
    }
    const column_t columns[FIELDS] = {
        { .type = TYPE_INT64, .width = 8, .n = n, .cells = (uint8_t *)ids },
        { .type = TYPE_INT32, .width = 4, .n = n, .cells = (uint8_t *)nums },
        { .type = TYPE_FLOAT_VECTOR, .width = 4 * data->dim, .n = n,
          .cells = (uint8_t *)(data->vectors + from * data->dim) },
    };
    check(growing_append(&s_ctx, data->growing, columns, 10 + from) == OK);
    mem_free(ids);
    mem_free(nums);
}

static void s_make(data_t *data, store_t *store, uint64_t id)
{
    const field_t fields[FIELDS] = {
        { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
        { .id = 101, .name = "num", .type = TYPE_INT32 },
        { .id = 102, .name = "vec", .type = TYPE_FLOAT_VECTOR, .dim = (int32_t)data->dim },
    };
    rng_t rng;
    rng_seed(&rng, id);
    data->schema = schema_new(fields, FIELDS);
    data->vectors = mem_new(data->n * data->dim * sizeof *data->vectors);
    for (size_t i = 0; i < data->n * data->dim; i++)
        data->vectors[i] = (float)rng_unit(&rng) - 0.5f;
    data->growing = growing_new(data->schema, (segment_id_t){ 1, 1, id });
    for (size_t at = 0; at < data->n; at += BATCH)
        s_append(data, at, data->n - at < BATCH ? data->n - at : BATCH);
    owned(flush) flush = NULL;
    flush_options_t options = { .attempt = 1 };
    check(flush_growing(&s_ctx, data->growing, UINT64_MAX, &options, &flush) == OK);
    check(flush_put(&s_ctx, flush, store) == OK);
    check(sealed_open(&s_ctx, store, data->schema, flush_files(flush), true, &data->sealed) == OK);
}

static void s_free(data_t *data)
{
    growing_unref(&data->growing);
    sealed_unref(&data->sealed);
    schema_unref(&data->schema);
    mem_free(data->vectors);
}

/* --- running ------------------------------------------------------------------ */

typedef struct crew {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    size_t left;
    search_t *search;
    _Atomic size_t next;
} crew_t;

static void s_work(void *arg)
{
    crew_t *crew = arg;
    ctx_t ctx;
    ctx_init(&ctx);
    for (size_t i; (i = atomic_fetch_add(&crew->next, 1)) < search_parts(crew->search); )
        check(search_run(&ctx, crew->search, i) == OK);
    ctx_fini(&ctx);
    pthread_mutex_lock(&crew->lock);
    crew->left--;
    pthread_cond_signal(&crew->ended);
    pthread_mutex_unlock(&crew->lock);
}

static void s_run_parts(search_t *search, int threads)
{
    crew_t crew = { .left = (size_t)threads, .search = search };
    pthread_mutex_init(&crew.lock, NULL);
    pthread_cond_init(&crew.ended, NULL);
    for (int i = 0; i < threads; i++)
        check(pool_run(s_pool, s_work, &crew));
    pthread_mutex_lock(&crew.lock);
    while (crew.left)
        pthread_cond_wait(&crew.ended, &crew.lock);
    pthread_mutex_unlock(&crew.lock);
    pthread_cond_destroy(&crew.ended);
    pthread_mutex_destroy(&crew.lock);
}

static column_t s_queries(const line_t *line)
{
    return (column_t){ .type = TYPE_FLOAT_VECTOR, .width = 4 * line->data->dim, .n = line->nq,
                       .cells = (const uint8_t *)(line->data->vectors + 77 * line->data->dim) };
}

static void s_search(const line_t *line)
{
    static const size_t outputs[] = { F_NUM };
    owned(search) search = NULL;
    owned(expr) filter = NULL;
    if (line->filter)
        check(expr_parse(&s_ctx, view_str(line->filter), line->data->schema, NULL, 0, &filter) ==
              OK);
    search_plan_t plan = {
        .schema = line->data->schema, .filter = filter, .read_ts = UINT64_MAX, .field = F_VEC,
        .metric = line->metric, .topk = TOPK, .queries = s_queries(line), .group_field = SIZE_MAX,
        .outputs = outputs, .n_outputs = 1,
    };
    bool sealed = line->what[0] == 's';
    query_source_t source = { .growing = sealed ? NULL : line->data->growing,
                              .sealed = sealed ? line->data->sealed : NULL };
    check(search_new(&s_ctx, &plan, &source, 1, &search) == OK);
    s_run_parts(search, line->threads);
    search_found_t found = {0};
    check(search_finish(&s_ctx, search, &found) == OK);
    check(found.n == TOPK * line->nq);
    search_found_fini(&found);
}

static void s_kernel(const line_t *line)
{
    topk_t *best[MOST_NQ] = {0};
    for (size_t q = 0; q < line->nq; q++)
        check(topk_new(&s_ctx, TOPK, false, &best[q]) == OK);
    column_t rows = { 0 };
    check(sealed_column(&s_ctx, line->data->sealed, 0, F_VEC, &rows) == OK);
    brute_t of = { .kernel = SIMD_F32_L2, .dim = line->data->dim, .rows = rows.cells,
                   .n = line->data->n };
    check(brute_search(&s_ctx, &of, 0, s_queries(line).cells, NULL, line->nq, best) == OK);
    for (size_t q = 0; q < line->nq; q++)
        topk_destroy(&best[q]);
}

static void s_count(const line_t *line)
{
    owned(expr) filter = NULL;
    owned(retrieve) retrieve = NULL;
    check(expr_parse(&s_ctx, view_str(line->filter), line->data->schema, NULL, 0, &filter) == OK);
    retrieve_plan_t plan = { .schema = line->data->schema, .filter = filter, .count = true,
                             .read_ts = UINT64_MAX };
    query_source_t source = { .sealed = line->data->sealed };
    check(retrieve_new(&s_ctx, &plan, &source, 1, &retrieve) == OK);
    for (size_t i = 0; i < retrieve_parts(retrieve); i++)
        check(retrieve_run(&s_ctx, retrieve, i) == OK);
    retrieved_t rows = {0};
    check(retrieve_finish(&s_ctx, retrieve, &rows) == OK && rows.count > 0);
    retrieved_fini(&rows);
}

static void s_run(line_t *line, int round)
{
    double begin_ms = s_now_ms(CLOCK_MONOTONIC), cpu_ms = s_now_ms(CLOCK_PROCESS_CPUTIME_ID);
    if (line->what[0] == 'k')
        s_kernel(line);
    else if (line->what[0] == 'c')
        s_count(line);
    else
        s_search(line);
    line->ms[round] = s_now_ms(CLOCK_MONOTONIC) - begin_ms;
    line->cpu_ms[round] = s_now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_ms;
}

/* --- the plan and the report ------------------------------------------------------ */

static void s_add(const char *what, const data_t *data, metric_t metric, size_t nq,
                  const char *filter, double kept, int threads)
{
    check(s_n_lines < MOST_LINES);
    s_lines[s_n_lines++] = (line_t){ .what = what, .data = data, .metric = metric, .nq = nq,
                                     .filter = filter, .kept = kept, .threads = threads };
}

static void s_plan(const data_t *data)
{
    s_add("kernel", data, METRIC_L2, 1, NULL, 1, 1);
    for (int threads = 1; threads <= 2; threads++) {
        s_add("sealed", data, METRIC_L2, 1, NULL, 1, threads);
        s_add("sealed", data, METRIC_COSINE, 1, NULL, 1, threads);
        s_add("sealed", data, METRIC_L2, 1, "num < 100", 0.1, threads);
        s_add("sealed", data, METRIC_L2, 1, "num < 10", 0.01, threads);
        s_add("growing", data, METRIC_L2, 1, NULL, 1, threads);
        s_add("growing", data, METRIC_COSINE, 1, NULL, 1, threads);
    }
    s_add("kernel", data, METRIC_L2, MOST_NQ, NULL, 1, 1);
    for (int threads = 1; threads <= 2; threads++)
        s_add("sealed", data, METRIC_L2, MOST_NQ, NULL, 1, threads);
    s_add("count", data, METRIC_L2, 1, "num < 100", 0.1, 1);
}

static int s_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void s_report(int rounds, const char *path)
{
    mkdir("build", 0777);
    mkdir("build/bench", 0777);
    FILE *json = fopen(path, "w");
    if (!json) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    printf("%-8s %8s %4s %-7s %7s %5s %7s %9s %9s %8s\n", "what", "rows", "dim", "metric",
           "queries", "kept", "threads", "ms", "cpu ms", "GB/s");
    fprintf(json, "{\"rounds\": %d, \"lines\": [", rounds);
    for (size_t i = 0; i < s_n_lines; i++) {
        line_t *l = &s_lines[i];
        qsort(l->ms, (size_t)rounds, sizeof *l->ms, s_order);
        qsort(l->cpu_ms, (size_t)rounds, sizeof *l->cpu_ms, s_order);
        double ms = l->ms[rounds / 2], cpu_ms = l->cpu_ms[rounds / 2];
        double gbs = (double)(l->data->n * l->data->dim * 4 * l->nq) * l->kept / ms * 1e-6;
        printf("%-8s %8zu %4zu %-7s %7zu %4.0f%% %7d %9.2f %9.2f %8.1f\n", l->what, l->data->n,
               l->data->dim, metric_name(l->metric), l->nq, l->kept * 100, l->threads, ms, cpu_ms,
               gbs);
        fprintf(json, "%s\n  {\"what\": \"%s\", \"rows\": %zu, \"dim\": %zu, \"metric\": \"%s\", "
                "\"queries\": %zu, \"kept\": %.3g, \"threads\": %d, \"ms\": %.4f, "
                "\"cpu_ms\": %.4f}", i ? "," : "", l->what, l->data->n, l->data->dim,
                metric_name(l->metric), l->nq, l->kept, l->threads, ms, cpu_ms);
    }
    fprintf(json, "\n]}\n");
    fclose(json);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 11;
    check(rounds > 0 && rounds <= MOST_ROUNDS);
    ctx_init(&s_ctx);
    store_t *store = store_memory_new();
    data_t data[] = { { .n = 341479, .dim = 100 }, { .n = 100000, .dim = 128 } };
    s_pool = pool_new("bench", 2);
    for (size_t i = 0; i < ARRAY_LEN(data); i++) {
        s_make(&data[i], store, i + 1);
        s_plan(&data[i]);
    }
    for (size_t i = 0; i < s_n_lines; i++)
        s_run(&s_lines[i], 0);                  /* pages and norms are there from now on */
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < s_n_lines; i++)
            s_run(&s_lines[i], round);
    s_report(rounds, argc > 2 ? argv[2] : "build/bench/query.json");
    for (size_t i = 0; i < ARRAY_LEN(data); i++)
        s_free(&data[i]);
    pool_destroy(&s_pool);
    store_destroy(&store);
    ctx_fini(&s_ctx);
    return 0;
}
