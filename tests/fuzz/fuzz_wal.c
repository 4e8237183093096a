/* fuzz_wal - bytes as an object of the log, as they are and with their checksums put right
 *
 * Promises:
 *
 *   refused   as damage or as another version, with a text
 *   read      every entry lies inside the object, has the columns of its kind, and timestamps
 *             that do not fall; as many entries come as the head says
 */
#include "core/base/base.h"
#include "core/base/crc.h"
#include "core/wal/wal_record.h"
#include "tests/support/replay.h"

static void s_check_inside(view_t whole, view_t part)
{
    check(part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void s_check_entry(view_t whole, const wal_entry_t *e, uint64_t *last_ts)
{
    check(e->timestamp >= *last_ts);
    *last_ts = e->timestamp;
    s_check_inside(whole, e->vchannel);
    s_check_inside(whole, e->note);
    check((e->n_fields > 0) == (e->kind == WAL_INSERT || e->kind == WAL_UPSERT));
    check((e->deletes != NULL) == (e->kind == WAL_DELETE || e->kind == WAL_UPSERT));
    for (size_t i = 0; i < e->n_fields; i++)
        for (size_t row = 0; e->fields[i].column.cells && row < e->fields[i].column.n && row < 99;
             row++)
            s_check_inside(whole, column_cell(&e->fields[i].column, row));
}

static void s_read(view_t whole)
{
    ctx_t ctx;
    ctx_init(&ctx);
    wal_reader_t reader;
    wal_entry_t e;
    uint64_t last_ts = 0;
    uint32_t n = 0;
    bool more = true;
    err_t err = wal_reader_open(&ctx, &reader, whole);
    while (err == OK && more) {
        err = wal_reader_next(&ctx, &reader, &e, &more);
        if (err == OK && more) {
            s_check_entry(whole, &e, &last_ts);
            n++;
        }
    }
    check(err == OK ? n == reader.head.n : err == ERR_CORRUPT || err == ERR_VERSION);
    check(err == OK || *ctx.text);
    ctx_fini(&ctx);
}

/* Make head, tail and checksums agree with the rest, where there is room for them. */
static void s_mend(uint8_t *p, size_t len)
{
    if (len < WAL_HEAD_BYTES + WAL_TAIL_BYTES)
        return;
    size_t head_len = WAL_HEAD_BYTES + ((load_u16(p + 6) + 7u) & ~7u);
    if (head_len > len - WAL_TAIL_BYTES)
        return;
    size_t body_len = (len - WAL_TAIL_BYTES - head_len) & ~(size_t)7;
    store_u32(p + 76, (uint32_t)body_len);
    store_u32(p + 80, crc32c(p + head_len, body_len));
    store_u32(p + 84, crc32c_add(crc32c(p, 84), p + WAL_HEAD_BYTES, head_len - WAL_HEAD_BYTES));
    memcpy(p + head_len + body_len, "LAWE", 4);
    memcpy(p + head_len + body_len + 4, p + 84, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_new(size + 1);
    memcpy(copy, data, size);
    s_read(view_of(copy, size));
    s_mend(copy, size);
    s_read(view_of(copy, size));
    mem_free(copy);
    return 0;
}
