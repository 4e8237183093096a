/* fuzz_index - bytes as the objects of an index, with and without good checksums
 *
 *     1 byte      1: make the checksums right first, so that what lies behind them is reached
 *     1 byte      number of objects, up to 4
 *     2 bytes     length of each; the objects follow, cut where the input ends
 *
 * Promises: what is taken can be searched, with filters and ranges, and only rows of the segment
 * come out, each once; what is refused is damaged, of another version, or too much memory, with a
 * text that names an object.
 */
#include "core/base/crc.h"
#include "core/index/index_file.h"
#include "tests/support/replay.h"

enum { MOST_OBJECTS = 4, BUDGET_BYTES = 8 << 20, MOST_DIM = 4096, TOPK = 5, QUERIES = 3,
       SPARSE_BYTES = 64 };

typedef struct objects {
    index_blob_t at[MOST_OBJECTS];
    size_t n;
} objects_t;

static void s_split(const uint8_t *data, size_t size, objects_t *ret)
{
    size_t n = data[1] % (MOST_OBJECTS + 1), at = 2 + 2 * n;
    for (size_t i = 0; i < n && at <= size; i++) {
        size_t len = load_u16(data + 2 + 2 * i);
        len = len < size - at ? len : size - at;
        uint8_t *copy = mem_new(len + 1);       /* aligned, and ours to seal */
        memcpy(copy, data + at, len);
        ret->at[ret->n++] = (index_blob_t){ .name = "fuzz", .bytes = view_of(copy, len) };
        at += len;
    }
}

static size_t s_aligned(size_t n)
{
    return (n + INDEX_ALIGN - 1) / INDEX_ALIGN * INDEX_ALIGN;
}

static void s_seal_entry(const objects_t *o, uint8_t *entry)
{
    uint32_t object = load_u32(entry + 4);
    uint64_t at = load_u64(entry + 8), len = load_u64(entry + 16);
    if (object >= o->n || at > o->at[object].bytes.len || len > o->at[object].bytes.len - at)
        return;
    len = object ? len : s_aligned((size_t)len);
    if (len <= o->at[object].bytes.len - at)
        store_u32(entry + 24, crc32c(o->at[object].bytes.ptr + at, (size_t)len));
}

static void s_seal(const objects_t *o)
{
    for (size_t i = 0; i < o->n; i++) {
        uint8_t *p = (uint8_t *)(uintptr_t)o->at[i].bytes.ptr;
        if (o->at[i].bytes.len < INDEX_HEAD_BYTES)
            continue;
        store_u64(p + 16, o->at[i].bytes.len);
        store_u32(p + 60, crc32c(p, 60));
    }
    if (o->n == 0 || o->at[0].bytes.len < INDEX_HEAD_BYTES + INDEX_TABLE_BYTES)
        return;
    uint8_t *table = (uint8_t *)(uintptr_t)o->at[0].bytes.ptr + INDEX_HEAD_BYTES;
    size_t n = load_u16(table + 2), end = s_aligned(INDEX_HEAD_BYTES + INDEX_TABLE_BYTES +
                                                    n * INDEX_ENTRY_BYTES);
    if (end > o->at[0].bytes.len)
        return;
    for (size_t i = 0; i < n; i++)
        s_seal_entry(o, table + INDEX_TABLE_BYTES + i * INDEX_ENTRY_BYTES);
    store_u32(table + 36, crc32c_add(crc32c(table, 36), table + INDEX_TABLE_BYTES,
                                     end - INDEX_HEAD_BYTES - INDEX_TABLE_BYTES));
}

static void s_check_hits(topk_t *best, const index_t *index, const bitset_t *keep)
{
    topk_hit_t hits[TOPK];
    size_t n = topk_hits(best, hits);
    for (size_t i = 0; i < n; i++) {
        check(hits[i].row < index_rows(index) && (!keep || bitset_has(keep, hits[i].row)));
        for (size_t j = 0; j < i; j++)
            check(hits[i].row != hits[j].row);
    }
}

/* Queries that fit the index; sparse ones have the indexes 0 .. 7, whose values are both signs. */
static void *s_queries(const index_t *index, uint64_t *offsets)
{
    const index_spec_t *spec = index_spec(index);
    if (spec->cells != CELL_SPARSE) {
        size_t bytes = simd_query_bytes(index_kernel(index), spec->dim);
        return memset(mem_new(QUERIES * bytes), 1, bytes);      /* the others are zeros */
    }
    uint8_t *cells = mem_new(QUERIES * SPARSE_BYTES);
    for (size_t q = 0; q < QUERIES; q++) {
        offsets[q + 1] = (q + 1) * SPARSE_BYTES;
        for (uint32_t i = 0; i < SPARSE_BYTES / 8; i++) {
            float value = (i % 3 ? 1.5f : -0.5f) * (float)q;
            store_u32(cells + q * SPARSE_BYTES + 8 * i, i);
            memcpy(cells + q * SPARSE_BYTES + 8 * i + 4, &value, sizeof value);
        }
    }
    return cells;
}

static void s_search(ctx_t *ctx, const index_t *index, const bitset_t *keep, bool range)
{
    const index_spec_t *spec = index_spec(index);
    bool sparse = spec->cells == CELL_SPARSE;
    bool descends = sparse || simd_kernel_descends(index_kernel(index));
    float factors[QUERIES] = { 1, 0.5f, 0 };
    uint64_t offsets[QUERIES + 1] = {0};
    topk_t *best[QUERIES] = {0};
    void *queries = s_queries(index, offsets);
    index_ask_t ask = {
        .queries = queries, .offsets = sparse ? offsets : NULL,
        .factors = spec->metric == METRIC_COSINE ? factors : NULL,
        .n_queries = QUERIES, .keep = keep, .n_kept = keep ? bitset_count(keep) : 0,
        .want = TOPK, .has_range = range, .radius = descends ? 0 : 1, .inner = descends ? 1 : 0,
        .knobs = { .nprobe = 2, .drop_ratio_search = keep ? 0.5f : 0 },
    };
    for (size_t q = 0; q < QUERIES; q++)
        check(topk_new(NULL, TOPK, descends, &best[q]) == OK);
    err_t err = index_search(ctx, index, &ask, best);
    check(err == OK || err == ERR_MEMORY);
    for (size_t q = 0; q < QUERIES; q++) {
        s_check_hits(best[q], index, keep);
        topk_destroy(&best[q]);
    }
    mem_free(queries);
}

static void s_taken(ctx_t *ctx, const index_t *index)
{
    bitset_t keep = {0};
    if (index_spec(index)->dim > MOST_DIM || bitset_init(ctx, &keep, index_rows(index)) != OK)
        return;
    for (size_t row = 0; row < index_rows(index); row += 3)
        bitset_set(&keep, row);
    s_search(ctx, index, NULL, false);
    s_search(ctx, index, NULL, true);
    s_search(ctx, index, &keep, false);
    bitset_fini(&keep);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || 2 + 2 * (size_t)(data[1] % (MOST_OBJECTS + 1)) > size)
        return 0;
    ctx_t ctx;
    objects_t objects = {0};
    index_t *index = NULL;
    ctx_init(&ctx);
    ctx.budget_bytes = BUDGET_BYTES;
    s_split(data, size, &objects);
    if (data[0] & 1)
        s_seal(&objects);
    err_t err = index_open(&ctx, objects.at, objects.n, &index);
    check((err == OK) == (index != NULL));
    if (err == OK)
        s_taken(&ctx, index);
    else
        check((err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_MEMORY) && ctx.text[0]);
    index_destroy(&index);
    for (size_t i = 0; i < objects.n; i++)
        mem_free((void *)(uintptr_t)objects.at[i].bytes.ptr);
    ctx_fini(&ctx);
    return 0;
}
