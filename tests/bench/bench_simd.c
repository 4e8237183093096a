/* bench_simd - how near to the memory's speed one query reads rows
 *
 *     build/release/bench/bench_simd [ROUNDS] [MIB] [JSON]        15, 256, build/bench/simd.json
 *
 * The rows are larger than the caches, so the read bandwidth is the limit.  It
 * is measured just before and just after each kernel, by loops that do nothing
 * but add what they load; the best of them counts.  Each of these reads the
 * next seventh of the rows, which no cache holds any more.  Kernels take turns,
 * and a figure is the median over rounds of GB/s, or of the share of that
 * turn's bandwidth.  Time is the time that this thread had a processor.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/rng.h"
#include "core/simd/brute.h"
#include "core/simd/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MOST_ROUNDS = 99, MOST_LINES = 96, PARTS = 7, BLOCK_ROWS = 256, PATTERN_BYTES = 1 << 20 };

typedef struct line {
    const char *what;           /* "scan", "search" … */
    simd_kernel_t kernel;
    size_t dim;
    const simd_t *level;
    double (*run)(const struct line *line);     /* returns bytes that count */
    size_t n_queries;
    double kept;                /* share of rows that a filter leaves; 1: no filter */
    double gbs[MOST_ROUNDS], ratio[MOST_ROUNDS];
} line_t;

static uint8_t *s_all;          /* everything, and the part that is read now */
static size_t s_all_bytes;
static uint8_t *s_rows;
static size_t s_bytes;
static line_t s_lines[MOST_LINES];
static size_t s_n_lines;
static float s_sink;

static int64_t s_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* On to the part that was read longest ago. */
static void s_turn(void)
{
    static size_t part;
    part = (part + 1) % PARTS;
    s_bytes = s_all_bytes / PARTS / 4096 * 4096;
    s_rows = s_all + part * s_bytes;
}

/* --- the memory's speed --------------------------------------------------------- */

#if defined(__x86_64__)
__attribute__((target("avx2"))) static float s_read(size_t ahead, size_t streams)
{
    __m256 sum[8];
    for (size_t i = 0; i < 8; i++)
        sum[i] = _mm256_setzero_ps();
    size_t part = s_bytes / streams / 4096 * 4096;
    for (size_t at = 0; at + 256 <= part; at += 256)
        for (size_t s = 0; s < streams; s++) {
            const float *p = (const float *)(const void *)(s_rows + s * part + at);
            if (ahead)
                for (size_t i = 0; i < 256; i += 64)
                    _mm_prefetch((const char *)p + ahead + i, _MM_HINT_T0);
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                sum[i] = _mm256_add_ps(sum[i], _mm256_loadu_ps(p + i * 8));
        }
    for (size_t i = 1; i < 8; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    float lanes[8];
    _mm256_storeu_ps(lanes, sum[0]);
    return lanes[0] + lanes[7];
}
static bool s_can_read(void) { return cpu_best() >= CPU_AVX2; }
#else
static bool s_can_read(void) { return false; }
static float s_read(size_t ahead, size_t streams) { return (float)(ahead + streams); }
#endif

static float s_read_plain(void)
{
    uint64_t sum[4] = {0};
    for (size_t at = 0; at + 32 <= s_bytes; at += 32)
        for (size_t i = 0; i < 4; i++)
            sum[i] += load_u64(s_rows + at + i * 8);
    return (float)(sum[0] + sum[1] + sum[2] + sum[3]);
}

static double s_gbs(double bytes, int64_t begin_ns)
{
    return bytes / (double)(s_now_ns() - begin_ns);
}

/* The best of the ways to read. */
static double s_bandwidth(void)
{
    static const struct { size_t ahead, streams; } way[] = { { 0, 1 }, { 2048, 1 } };
    double best = 0;
    for (size_t i = 0; i < ARRAY_LEN(way); i++) {
        s_turn();
        int64_t begin_ns = s_now_ns();
        s_sink += s_can_read() ? s_read(way[i].ahead, way[i].streams) : s_read_plain();
        double gbs = s_gbs((double)s_bytes, begin_ns);
        best = gbs > best ? gbs : best;
    }
    return best;
}

/* --- what is measured ---------------------------------------------------------------- */

static void *s_queries(const line_t *line)
{
    size_t row_bytes = simd_row_bytes(line->kernel, line->dim);
    size_t query_bytes = simd_query_bytes(line->kernel, line->dim);
    uint8_t *queries = mem_new(line->n_queries * query_bytes);
    for (size_t q = 0; q < line->n_queries; q++)
        simd_prepare(line->kernel, s_rows + q * row_bytes, line->dim, queries + q * query_bytes);
    return queries;
}

/* The kernel alone, block by block. */
static double s_run_scan(const line_t *line)
{
    static float scores[BLOCK_ROWS];
    size_t width = simd_row_bytes(line->kernel, line->dim), n = s_bytes / width;
    void *query = s_queries(line);
    for (size_t i = 0; i + BLOCK_ROWS <= n; i += BLOCK_ROWS) {
        line->level->ops[line->kernel].scan(query, s_rows + i * width, BLOCK_ROWS, line->dim,
                                            scores);
        s_sink += scores[i % BLOCK_ROWS];
    }
    mem_free(query);
    return (double)(n / BLOCK_ROWS * BLOCK_ROWS * width);
}

/* brute_search to the ten best of each query. */
static double s_run_search(const line_t *line)
{
    size_t width = simd_row_bytes(line->kernel, line->dim), n = s_bytes / width;
    static ctx_t ctx;
    ctx_init(&ctx);
    topk_t *best[64] = {0};
    bitset_t keep = {0};
    bool ok = bitset_init(&ctx, &keep, n) == OK;
    rng_t rng;
    rng_seed(&rng, 3);
    for (size_t i = 0; i < n && line->kept < 1; i++)
        if (rng_chance(&rng, line->kept))
            bitset_set(&keep, i);
    for (size_t q = 0; q < line->n_queries; q++)
        ok = ok && topk_new(&ctx, 10, simd_kernel_descends(line->kernel), &best[q]) == OK;
    void *queries = s_queries(line);
    brute_t of = { .kernel = line->kernel, .dim = line->dim, .rows = s_rows, .n = n,
                   .keep = line->kept < 1 ? &keep : NULL };
    int64_t begin_ns = s_now_ns();
    ok = ok && brute_search(&ctx, &of, 0, queries, NULL, line->n_queries, best) == OK;
    int64_t took_ns = s_now_ns() - begin_ns;
    check(ok);
    for (size_t q = 0; q < line->n_queries; q++)
        topk_destroy(&best[q]);
    mem_free(queries);
    bitset_fini(&keep);
    ctx_fini(&ctx);
    return -(double)took_ns * 1e-9;         /* the caller's clock saw the preparations too */
}

static void s_add(const char *what, simd_kernel_t kernel, size_t dim, cpu_level_t level,
                  double (*run)(const line_t *), size_t n_queries, double kept)
{
    if (!simd_at(level))
        return;
    check(s_n_lines < MOST_LINES);
    s_lines[s_n_lines++] = (line_t){ .what = what, .kernel = kernel, .dim = dim, .run = run,
                                     .level = simd_at(level), .n_queries = n_queries,
                                     .kept = kept };
}

static void s_plan(void)
{
    static const size_t floats[] = { 100, 128, 384, 768 }, others[] = { 128, 768 };
    static const double kept[] = { 0.01, 0.1, 0.5, 0.9 };
    cpu_level_t best = cpu_best();
    for (cpu_level_t l = 0; l < CPU_LEVELS; l++) {
        for (simd_kernel_t k = SIMD_F32_L2; k <= SIMD_F32_IP; k++)
            for (size_t i = 0; i < ARRAY_LEN(floats); i++)
                s_add("scan", k, floats[i], l, s_run_scan, 1, 1);
        for (simd_kernel_t k = SIMD_F16_L2; k <= SIMD_I8_IP; k++)
            for (size_t i = 0; i < ARRAY_LEN(others); i++)
                s_add("scan", k, others[i], l, s_run_scan, 1, 1);
        for (simd_kernel_t k = SIMD_BIN_HAMMING; k <= SIMD_BIN_JACCARD; k++)
            for (size_t i = 0; i < ARRAY_LEN(others); i++)
                s_add("scan", k, others[i] * 8, l, s_run_scan, 1, 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(floats); i++)
        s_add("search", SIMD_F32_L2, floats[i], best, s_run_search, 1, 1);
    s_add("search", SIMD_F32_L2, 128, best, s_run_search, 16, 1);
    s_add("search", SIMD_F32_IP, 768, best, s_run_search, 16, 1);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        s_add("search", SIMD_F32_L2, 128, best, s_run_search, 1, kept[i]);
}

/* Sensible numbers of the kernel's kind, the same MiB over and over. */
static void s_fill(simd_kernel_t kernel)
{
    static int filled = -1;
    if (filled == (int)kernel / 2)
        return;
    filled = (int)kernel / 2;
    rng_t rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < PATTERN_BYTES / 4; i++) {
        float x = (float)rng_unit(&rng) - 0.5f, y = (float)rng_unit(&rng) - 0.5f;
        uint8_t *at = s_all + i * 4;
        uint64_t bits = rng_u64(&rng);
        memcpy(at, kernel <= SIMD_F32_IP ? (void *)&x : (void *)&bits, 4);
        if (kernel == SIMD_F16_L2 || kernel == SIMD_F16_IP) {
            store_u16(at, half_f16_from_f32(x));
            store_u16(at + 2, half_f16_from_f32(y));
        } else if (kernel == SIMD_BF16_L2 || kernel == SIMD_BF16_IP) {
            store_u16(at, half_bf16_from_f32(x));
            store_u16(at + 2, half_bf16_from_f32(y));
        }
    }
    for (size_t at = PATTERN_BYTES; at < s_all_bytes; at += PATTERN_BYTES)
        memcpy(s_all + at, s_all, PATTERN_BYTES);
}

static double s_run(const line_t *line)
{
    s_turn();
    int64_t begin_ns = s_now_ns();
    double bytes = line->run(line);
    double all = (double)s_bytes * (double)line->n_queries * line->kept * 1e-9;
    return bytes < 0 ? all / -bytes : s_gbs(bytes, begin_ns);
}

/* The better of two runs between two looks at the bandwidth, of which the better counts. */
static void s_measure(line_t *line, int round)
{
    s_fill(line->kernel);
    double bandwidth = s_bandwidth();
    double first = s_run(line), second = s_run(line);
    line->gbs[round] = first > second ? first : second;
    double after = s_bandwidth();
    bandwidth = after > bandwidth ? after : bandwidth;
    line->ratio[round] = line->gbs[round] / bandwidth;
}

/* --- the report -------------------------------------------------------------------------- */

static int s_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double s_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, s_order);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void s_report(int rounds, double bandwidth, const char *path)
{
    mkdir("build", 0777);
    mkdir("build/bench", 0777);
    FILE *json = fopen(path, "w");
    if (!json) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    printf("read bandwidth %.1f GB/s over %zu MiB, medians of %d rounds\n", bandwidth,
           s_all_bytes >> 20, rounds);
    printf("%-7s %-12s %5s %-7s %8s %6s %8s %8s\n", "what", "kernel", "dim", "level", "queries",
           "kept", "GB/s", "of read");
    fprintf(json, "{\"mib\": %zu, \"rounds\": %d, \"read_gbs\": %.3f, \"lines\": [",
            s_all_bytes >> 20, rounds, bandwidth);
    for (size_t i = 0; i < s_n_lines; i++) {
        line_t *l = &s_lines[i];
        double gbs = s_median(l->gbs, rounds), ratio = s_median(l->ratio, rounds);
        const char *kernel = simd_kernel_name(l->kernel), *level = cpu_level_name(l->level->level);
        printf("%-7s %-12s %5zu %-7s %8zu %5.0f%% %8.1f %7.0f%%\n", l->what, kernel, l->dim, level,
               l->n_queries, l->kept * 100, gbs, ratio * 100);
        fprintf(json, "%s\n  {\"what\": \"%s\", \"kernel\": \"%s\", \"dim\": %zu, "
                "\"level\": \"%s\", \"queries\": %zu, \"kept\": %.3g, \"gbs\": %.3f, "
                "\"of_read\": %.4f}", i ? "," : "", l->what, kernel, l->dim, level, l->n_queries,
                l->kept, gbs, ratio);
    }
    fprintf(json, "\n]}\n");
    fclose(json);
    printf("GB/s of rows a query had to see: bytes x queries x kept\n");
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 15;
    s_all_bytes = (size_t)(argc > 2 ? atoi(argv[2]) : 256) << 20;
    check(rounds > 0 && rounds <= MOST_ROUNDS && s_all_bytes >= PARTS << 20);
    s_all = mem_new(s_all_bytes);
    s_plan();
    for (int round = 0; round < rounds; round++, s_turn())      /* no line keeps its parts */
        for (size_t i = 0; i < s_n_lines; i++)
            s_measure(&s_lines[i], round);
    double bandwidths[9];
    for (size_t i = 0; i < ARRAY_LEN(bandwidths); i++)
        bandwidths[i] = s_bandwidth();
    s_report(rounds, s_median(bandwidths, ARRAY_LEN(bandwidths)),
             argc > 3 ? argv[3] : "build/bench/simd.json");
    mem_free(s_all);
    return s_sink == 12345.678f;            /* the sums are wanted, says this to the compiler */
}
