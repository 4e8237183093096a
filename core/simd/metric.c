/* metric - see metric.h */
#include "core/simd/metric.h"

static const struct { const char *name; bool descends; } s_metrics[] = {
    [METRIC_L2]      = { "L2", false },
    [METRIC_IP]      = { "IP", true },
    [METRIC_COSINE]  = { "COSINE", true },
    [METRIC_HAMMING] = { "HAMMING", false },
    [METRIC_JACCARD] = { "JACCARD", false },
};

bool metric_parse(const char *name, metric_t *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(s_metrics); i++)
        if (strcmp(s_metrics[i].name, name) == 0) {
            *ret = (metric_t)i;
            return true;
        }
    return false;
}

bool metric_descends(metric_t metric)
{
    check(metric < ARRAY_LEN(s_metrics));
    return s_metrics[metric].descends;
}

const char *metric_name(metric_t metric)
{
    check(metric < ARRAY_LEN(s_metrics));
    return s_metrics[metric].name;
}

bool metric_kernel(metric_t metric, cell_t cells, simd_kernel_t *ret)
{
    static const struct { simd_kernel_t l2, ip; } dense[] = {
        [CELL_F32] = { SIMD_F32_L2, SIMD_F32_IP }, [CELL_F16] = { SIMD_F16_L2, SIMD_F16_IP },
        [CELL_BF16] = { SIMD_BF16_L2, SIMD_BF16_IP }, [CELL_I8] = { SIMD_I8_L2, SIMD_I8_IP },
    };
    bool binary = metric == METRIC_HAMMING || metric == METRIC_JACCARD;
    if (cells == CELL_BIN) {
        *ret = metric == METRIC_HAMMING ? SIMD_BIN_HAMMING : SIMD_BIN_JACCARD;
        return binary;
    }
    if (cells < ARRAY_LEN(dense))
        *ret = metric == METRIC_L2 ? dense[cells].l2 : dense[cells].ip;
    return cells < ARRAY_LEN(dense) && !binary;
}
