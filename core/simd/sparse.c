/* sparse - two rising lists walked together
 *
 * Which list steps next is as good as random, so the steps are computed and
 * not branched on: a wrong guess costs more than the whole step.  Rejected:
 * vector compares of four by four indexes, which pay only for long rows of
 * like length; searching long rows through an inverted index is the index's
 * business, this is for the rows that no index covers.
 */
#include "core/simd/sparse.h"

enum { PAIR_BYTES = 8 };

static float s_value(const uint8_t *pair)
{
    float value;
    memcpy(&value, pair + 4, sizeof value);
    return value;
}

float sparse_ip(view_t query, view_t row)
{
    check_slow(query.len % PAIR_BYTES == 0 && row.len % PAIR_BYTES == 0);
    size_t i = 0, j = 0;
    double sum = 0;
    while (i < query.len && j < row.len) {
        uint32_t a = load_u32(query.ptr + i), b = load_u32(row.ptr + j);
        if (a == b)                                 /* rare, so well guessed */
            sum += (double)s_value(query.ptr + i) * (double)s_value(row.ptr + j);
        i += (size_t)(a <= b) * PAIR_BYTES;
        j += (size_t)(b <= a) * PAIR_BYTES;
    }
    return (float)sum;
}

static view_t s_row(const uint8_t *cells, const uint64_t *offsets, size_t i)
{
    return view_of(cells + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
}

void sparse_scan(view_t query, const uint8_t *cells, const uint64_t *offsets, size_t n,
                 float *ret)
{
    for (size_t i = 0; i < n; i++)
        ret[i] = sparse_ip(query, s_row(cells, offsets, i));
}

void sparse_gather(view_t query, const uint8_t *cells, const uint64_t *offsets,
                   const uint32_t *ids, size_t n, float *ret)
{
    for (size_t i = 0; i < n; i++)
        ret[i] = sparse_ip(query, s_row(cells, offsets, ids[i]));
}
