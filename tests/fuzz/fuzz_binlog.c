/* fuzz_binlog - bytes as a binlog, a delta or stats, with and without good checksums
 *
 * The first byte says what the rest is and whether the checksums in it are made
 * right first, so that what lies behind them is reached.  Promises:
 *
 *   taken     every row can be read, whole, in pieces and through the store's way of
 *             asking for ranges, and all agree
 *   refused   as damaged, of another version, or too much memory, with a text
 */
#include "core/base/crc.h"
#include "core/segment/binlog_int.h"
#include "core/segment/delta.h"
#include "core/segment/stats.h"
#include "tests/support/replay.h"

enum { BUDGET_BYTES = 4 << 20, PAGES_MOST = 64 };

static void s_seal_page(uint8_t *file, size_t len, uint8_t *entry)
{
    uint64_t offset = load_u64(entry), stored = binlog_aligned(load_u32(entry + 8));
    if (offset < len && stored <= len - offset)
        store_u32(entry + 12, crc32c(file + offset, (size_t)stored));
}

static void s_seal_binlog(uint8_t *file, size_t len)
{
    if (len < BINLOG_HEAD_BYTES + BINLOG_TAIL_BYTES)
        return;
    uint8_t *tail = file + len - BINLOG_TAIL_BYTES;
    uint64_t n = load_u64(tail);
    store_u64(tail + 8, len);
    store_u32(file + 60, crc32c(file, 60));
    if (n > PAGES_MOST || n * BINLOG_ENTRY_BYTES > len - BINLOG_HEAD_BYTES - BINLOG_TAIL_BYTES)
        return;
    uint8_t *directory = tail - n * BINLOG_ENTRY_BYTES;
    for (size_t i = 0; i < n; i++)
        s_seal_page(file, len, directory + i * BINLOG_ENTRY_BYTES);
    uint32_t crc = crc32c(file, BINLOG_HEAD_BYTES);
    store_u32(tail + 24, crc32c_add(crc, directory, (size_t)(tail + 24 - directory)));
}

static void s_seal(uint8_t *file, size_t len)
{
    if (len >= 4)
        store_u32(file + len - 4, crc32c(file, len - 4));
}

/* Touch every cell, so that a sanitizer sees one that is not there. */
static uint64_t s_sum(const column_t *c)
{
    uint64_t sum = c->n;
    for (size_t row = 0; row < c->n; row++) {
        view_t cell = column_cell(c, row);
        sum = sum * 31 + cell.len + 7 * column_is_null(c, row);
        sum = crc32c_add((uint32_t)sum, cell.ptr, cell.len) + (sum << 32);
    }
    return sum;
}

static void s_check_refused(const ctx_t *ctx, err_t err)
{
    check(err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_MEMORY);
    check(ctx->err == err && strlen(ctx->text) > 5);
}

static void s_binlog(ctx_t *ctx, view_t file)
{
    owned(binlog) b = NULL;
    err_t err = binlog_open(ctx, file, "fuzz", &b);
    check((err == OK) == (b != NULL));
    if (err != OK) {
        s_check_refused(ctx, err);
        return;
    }
    void *memory = NULL;
    column_t all, part;
    err = binlog_load(ctx, b, &memory, &all);
    if (err != OK) {
        check(!memory);
        s_check_refused(ctx, err);
        return;
    }
    check(all.n == binlog_rows(b));
    s_sum(&all);
    for (size_t from = 0; from < all.n; from += 64) {
        size_t n = all.n - from < 64 ? all.n - from : 64;
        err = binlog_read(ctx, b, from, n, &part);
        if (err == ERR_MEMORY)
            break;
        check(err == OK && part.n == n);
        column_t same = column_slice(&all, from, n);
        check(s_sum(&part) == s_sum(&same));
    }
    mem_free(memory);
}

static void s_delta(ctx_t *ctx, view_t file)
{
    owned(delta) d = NULL;
    err_t err = delta_read(ctx, file, "fuzz", &d);
    if (err != OK) {
        s_check_refused(ctx, err);
        return;
    }
    const column_t *pks = delta_pks(d);
    s_sum(pks);
    for (size_t i = 0; i < pks->n; i++) {
        uint64_t ts = delta_ts(d)[i];
        check(ts == 0 || delta_hides(d, column_cell(pks, i), ts - 1, ts));
        check(!delta_hides(d, column_cell(pks, i), ts, ts));
    }
}

static void s_stats(ctx_t *ctx, view_t file)
{
    owned(stats) s = NULL;
    err_t err = stats_read(ctx, file, "fuzz", &s);
    if (err != OK) {
        s_check_refused(ctx, err);
        return;
    }
    (void)stats_may_have(s, s->pk_type == TYPE_INT64 ? view_of("12345678", 8) : view_str("key"));
    buf_scoped again = {0};
    stats_write(s, &again);
    bool spare = file.ptr[7] || load_u32(file.ptr + 52);       /* not read, so not written */
    check(view_eq(file, buf_view(&again)) || s->rows == 0 || spare);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    ctx_t ctx;
    ctx_init(&ctx);
    ctx.budget_bytes = BUDGET_BYTES;
    size_t len = size - 1;
    uint8_t *file = mem_new(len);               /* aligned, and ours to seal */
    memcpy(file, data + 1, len);
    bool seal = data[0] & 1;
    switch (data[0] / 2 % 3) {
    case 0:
        if (seal)
            s_seal_binlog(file, len);
        s_binlog(&ctx, view_of(file, len));
        break;
    case 1:
        if (seal)
            s_seal(file, len);
        s_delta(&ctx, view_of(file, len));
        break;
    default:
        if (seal)
            s_seal(file, len);
        s_stats(&ctx, view_of(file, len));
    }
    mem_free(file);
    ctx_fini(&ctx);
    return 0;
}
