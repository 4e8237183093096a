/* clusters: seeds that miss no cluster, and the same centres whoever trains them and beside
 * whom. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/rng.h"
#include "core/base/fault.h"
#include "core/index/clusters.h"

enum { DIM = 16, BLOBS = 64, POINTS = 40 * BLOBS };

/* Points of BLOBS clusters in turn, each far from the others beside what it measures itself. */
static float *s_blobs(size_t n, uint64_t seed)
{
    float *points = mem_new(n * DIM * sizeof *points), centres[BLOBS * DIM];
    rng_t rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < BLOBS * DIM; i++)
        centres[i] = (float)(2 * rng_unit(&rng) - 1);
    for (size_t i = 0; i < n * DIM; i++)
        points[i] = centres[i % (BLOBS * DIM)] + (float)rng_unit(&rng) * 1e-4f;
    return points;
}

static index_spec_t s_spec(metric_t metric)
{
    cell_t cells = metric == METRIC_HAMMING || metric == METRIC_JACCARD ? CELL_BIN : CELL_F32;
    return (index_spec_t){ .metric = metric, .cells = cells,
                           .dim = cells == CELL_BIN ? DIM * 8 * sizeof(float) : DIM };
}

/* Train copies of the points; how: NULL is alone. */
static void s_train(clusters_t *ret, const index_spec_t *spec, size_t k, const float *points,
                    size_t n, uint64_t seed, const index_how_t *how)
{
    ctx_t ctx;
    ctx_init(&ctx);
    float *own = mem_new(n * DIM * sizeof *own);
    memcpy(own, points, n * DIM * sizeof *own);
    assert_int_equal(clusters_init(&ctx, ret, spec, k), OK);
    assert_int_equal(clusters_train(&ctx, ret, own, n, seed, how), OK);
    mem_free(own);
    ctx_fini(&ctx);
}

/* A draw whose gap is out of date would give a cluster two seeds and leave another without. */
static void no_cluster_is_missed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        float *points = s_blobs(POINTS, seed);
        index_spec_t spec = s_spec(METRIC_L2);
        clusters_t clusters;
        uint32_t nearest[POINTS];
        s_train(&clusters, &spec, BLOBS, points, POINTS, seed, NULL);
        clusters_assign(&clusters, points, POINTS, nearest);
        const float *centres = (const float *)(const void *)clusters.centres;
        for (size_t p = 0; p < POINTS; p++)
            assert_true(simd()->ops[SIMD_F32_L2].pair(points + p * DIM, centres + nearest[p] * DIM,
                                                      DIM) < 1e-3f);
        clusters_fini(&clusters);
        mem_free(points);
    }
}

static void threads_find_the_same_centres(void **state)
{
    (void)state;
    static const metric_t metrics[] = { METRIC_L2, METRIC_COSINE, METRIC_HAMMING, METRIC_JACCARD };
    float *points = s_blobs(POINTS, 5);
    pool_t *pool = pool_new("clusters", 3);
    index_how_t how = { .pool = pool, .threads = 4 };
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        index_spec_t spec = s_spec(metrics[i]);
        clusters_t alone, together;
        s_train(&alone, &spec, 150, points, POINTS, 3, NULL);
        s_train(&together, &spec, 150, points, POINTS, 3, &how);
        assert_memory_equal(alone.centres, together.centres, alone.k * alone.width);
        clusters_fini(&alone);
        clusters_fini(&together);
    }
    pool_destroy(&pool);
    mem_free(points);
}

static void several_come_out_as_alone(void **state)
{
    (void)state;
    enum { JOBS = 3, K = 90 };
    ctx_t ctx;
    ctx_init(&ctx);
    index_spec_t spec = s_spec(METRIC_L2);
    clusters_t clusters[JOBS], alone;
    clusters_job_t jobs[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        assert_int_equal(clusters_init(&ctx, &clusters[i], &spec, K), OK);
        jobs[i] = (clusters_job_t){ &clusters[i], s_blobs(POINTS, i), 7 + i };
    }
    assert_int_equal(clusters_train_all(&ctx, jobs, JOBS, POINTS, NULL), OK);
    for (size_t i = 0; i < JOBS; i++) {
        s_train(&alone, &spec, K, jobs[i].points, POINTS, 7 + i, NULL);
        assert_memory_equal(alone.centres, clusters[i].centres, K * alone.width);
        clusters_fini(&alone);
        clusters_fini(&clusters[i]);
        mem_free(jobs[i].points);
    }
    ctx_fini(&ctx);
}

/* Where all points are the same, and where there are too many centres for seeds that lie apart. */
static void any_seeds_will_do(void **state)
{
    (void)state;
    enum { MANY = 4100 };
    index_spec_t spec = s_spec(METRIC_L2);
    clusters_t clusters;
    float *points = mem_new(MANY * DIM * sizeof *points);
    s_train(&clusters, &spec, 30, points, 100, 1, NULL);
    for (size_t i = 0; i < 30 * DIM; i++)
        assert_true(((const float *)(const void *)clusters.centres)[i] == 0);
    clusters_fini(&clusters);
    for (size_t p = 0; p < MANY; p++) {
        points[p * DIM] = (float)(p % 64);
        points[p * DIM + 1] = (float)(p / 64);
    }
    s_train(&clusters, &spec, MANY, points, MANY, 1, NULL);
    assert_memory_equal(clusters.centres, points, MANY * clusters.width);
    clusters_fini(&clusters);
    mem_free(points);
}

static void faults_and_cancelling_are_reported(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    float *points = s_blobs(POINTS, 1);
    index_spec_t spec = s_spec(METRIC_L2);
    clusters_t clusters;
    assert_int_equal(clusters_init(&ctx, &clusters, &spec, 20), OK);
    for (int nth = 0; ; nth++) {
        fault_arm(nth);
        err_t err = clusters_train(&ctx, &clusters, points, POINTS, 1, NULL);
        if (!fault_disarm()) {
            assert_int_equal(err, OK);
            assert_true(nth >= 5);
            break;
        }
        assert_int_equal(err, ERR_MEMORY);
    }
    ctx_cancel(&ctx);
    assert_int_equal(clusters_train(&ctx, &clusters, points, POINTS, 1, NULL), ERR_CANCELED);
    clusters_fini(&clusters);
    mem_free(points);
    ctx_fini(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cluster_is_missed),
        cmocka_unit_test(threads_find_the_same_centres),
        cmocka_unit_test(several_come_out_as_alone),
        cmocka_unit_test(any_seeds_will_do),
        cmocka_unit_test(faults_and_cancelling_are_reported),
    };
    return cmocka_run_group_tests_name("clusters", tests, NULL, NULL);
}
