/* wal_record - see wal_record.h */
#include "core/wal/wal_record.h"

#include <sodium.h>

#include "core/base/crc.h"

enum {
    VERSION = 1, CRC_AT = 84, ENTRY_BYTES = 64, COLUMN_BYTES = 24, FLAG_DELETES = 1, FLAG_EARLY = 2,
};
static const char s_magic[4] = { 'E', 'W', 'A', 'L' }, s_end[4] = { 'L', 'A', 'W', 'E' };

static size_t s_pad(size_t len)
{
    return (len + 7) & ~(size_t)7;
}

/* What an entry of each kind must hold. */
static bool s_has_rows(uint8_t kind)    { return kind == WAL_INSERT || kind == WAL_UPSERT; }
static bool s_has_deletes(uint8_t kind) { return kind == WAL_DELETE || kind == WAL_UPSERT; }

/* --- writing ----------------------------------------------------------------- */

static void s_add_padded(buf_t *into, view_t bytes)
{
    static const uint8_t s_zeros[8];
    buf_add_view(into, bytes);
    buf_add(into, s_zeros, s_pad(bytes.len) - bytes.len);
}

static size_t s_column_len(const column_t *c)
{
    size_t cells = c->width ? c->n * c->width : (size_t)(c->offsets[c->n] - c->offsets[0]);
    size_t offsets = c->width ? 0 : 8 * (c->n + 1);
    size_t valid = c->valid ? 8 * ((c->n + 63) / 64) : 0;
    return COLUMN_BYTES + offsets + valid + s_pad(cells);
}

static size_t s_entry_len(const wal_entry_t *entry)
{
    size_t len = ENTRY_BYTES + s_pad(entry->vchannel.len) + s_pad(entry->note.len) +
                 8 * entry->n_fields;
    if (entry->deletes)
        len += s_column_len(entry->deletes);
    for (size_t i = 0; i < entry->n_fields; i++)
        len += s_column_len(&entry->fields[i].column);
    return len;
}

void wal_batch_init(wal_batch_t *batch, view_t channel)
{
    check(channel.len >= 1 && channel.len <= LIMIT_NAME_BYTES);
    *batch = (wal_batch_t){ .head_len = WAL_HEAD_BYTES + s_pad(channel.len) };
    buf_init(&batch->bytes, LIMIT_WAL_OBJECT_BYTES);
    uint8_t head[WAL_HEAD_BYTES] = {0};
    memcpy(head, s_magic, sizeof s_magic);
    store_u16(head + 4, VERSION);
    store_u16(head + 6, (uint16_t)channel.len);
    buf_add(&batch->bytes, head, sizeof head);
    s_add_padded(&batch->bytes, channel);
}

void wal_batch_fini(wal_batch_t *batch)
{
    buf_fini(&batch->bytes);
}

static void s_check_entry(const wal_batch_t *batch, const wal_entry_t *entry)
{
    uint8_t kind = (uint8_t)entry->kind;
    check(kind >= WAL_INSERT && kind <= WAL_BARRIER);
    check((entry->n_fields > 0) == s_has_rows(kind) && entry->n_fields <= LIMIT_WAL_FIELDS);
    check((entry->deletes != NULL) == s_has_deletes(kind));
    check(entry->vchannel.len <= LIMIT_WAL_NAME_BYTES);
    check(batch->n == 0 || entry->timestamp >= batch->max_ts);
    for (size_t i = 1; i < entry->n_fields; i++)
        check(entry->fields[i].column.n == entry->fields[0].column.n);
}

static void s_write_entry(buf_t *into, const wal_entry_t *entry, size_t len)
{
    uint8_t head[ENTRY_BYTES];
    store_u32(head, (uint32_t)len);
    head[4] = (uint8_t)entry->kind;
    head[5] = (uint8_t)((entry->deletes ? FLAG_DELETES : 0) | (entry->early ? FLAG_EARLY : 0));
    store_u16(head + 6, (uint16_t)entry->vchannel.len);
    store_u64(head + 8, entry->timestamp);
    store_i64(head + 16, entry->collection);
    store_i64(head + 24, entry->partition);
    store_i64(head + 32, entry->segment);
    store_u64(head + 40, entry->request[0]);
    store_u64(head + 48, entry->request[1]);
    store_u32(head + 56, (uint32_t)entry->n_fields);
    store_u32(head + 60, (uint32_t)entry->note.len);
    buf_add(into, head, sizeof head);
    s_add_padded(into, entry->vchannel);
    s_add_padded(into, entry->note);
    for (size_t i = 0; i < entry->n_fields; i++)
        buf_add_u64(into, (uint64_t)entry->fields[i].id);
    if (entry->deletes)
        column_write(entry->deletes, into);
    for (size_t i = 0; i < entry->n_fields; i++)
        column_write(&entry->fields[i].column, into);
}

err_t wal_batch_add(ctx_t *ctx, wal_batch_t *batch, const wal_entry_t *entry)
{
    s_check_entry(batch, entry);
    size_t len = s_entry_len(entry);
    if (len > LIMIT_WAL_OBJECT_BYTES - WAL_TAIL_BYTES - 1 ||
        batch->bytes.len > LIMIT_WAL_OBJECT_BYTES - WAL_TAIL_BYTES - 1 - len)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%zu bytes do not fit one log object of %u: "
                        "send fewer rows at once", len, LIMIT_WAL_OBJECT_BYTES);
    if (!buf_reserve(&batch->bytes, len + WAL_TAIL_BYTES)) {
        batch->bytes.failed = batch->bytes.len < batch->head_len;
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes of the log", len);
    }
    size_t from = batch->bytes.len;
    s_write_entry(&batch->bytes, entry, len);
    check(buf_ok(&batch->bytes) && batch->bytes.len == from + len);
    if (batch->n++ == 0)
        batch->min_ts = entry->timestamp;
    batch->max_ts = entry->timestamp;
    return OK;
}

err_t wal_batch_join(ctx_t *ctx, wal_batch_t *batch, const wal_batch_t *from)
{
    check(from->n > 0 && from->head_len == batch->head_len);
    check(batch->n == 0 || from->min_ts >= batch->max_ts);
    size_t len = from->bytes.len - from->head_len;
    if (len > LIMIT_WAL_OBJECT_BYTES - WAL_TAIL_BYTES - 1 - batch->bytes.len)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%zu more bytes do not fit a log object", len);
    if (!buf_reserve(&batch->bytes, len + WAL_TAIL_BYTES)) {
        batch->bytes.failed = batch->bytes.len < batch->head_len;
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes of the log", len);
    }
    buf_add(&batch->bytes, from->bytes.ptr + from->head_len, len);
    if (batch->n == 0)
        batch->min_ts = from->min_ts;
    batch->max_ts = from->max_ts;
    batch->n += from->n;
    return OK;
}

static uint32_t s_head_crc(const uint8_t *head, size_t head_len)
{
    return crc32c_add(crc32c(head, CRC_AT), head + WAL_HEAD_BYTES, head_len - WAL_HEAD_BYTES);
}

static void s_hash(const uint8_t *head, size_t head_len, uint8_t ret[WAL_HASH_BYTES])
{
    check(crypto_generichash_blake2b(ret, WAL_HASH_BYTES, head, head_len, NULL, 0) == 0);
}

err_t wal_batch_seal(ctx_t *ctx, wal_batch_t *batch, const wal_link_t *link, view_t *ret,
                     uint8_t ret_hash[WAL_HASH_BYTES])
{
    check(batch->n > 0 && buf_ok(&batch->bytes));
    if (!buf_reserve(&batch->bytes, WAL_TAIL_BYTES)) {
        batch->bytes.failed = false;
        return ctx_fail(ctx, ERR_MEMORY, "no memory to end an object of the log");
    }
    uint8_t *head = batch->bytes.ptr, *tail = head + batch->bytes.len;
    size_t body_len = batch->bytes.len - batch->head_len;
    store_u64(head + 8, link->log);
    store_u64(head + 16, link->at.epoch);
    store_u64(head + 24, link->at.seq);
    store_u64(head + 32, link->stable);
    memcpy(head + 40, link->prev, WAL_HASH_BYTES);
    store_u64(head + 56, batch->min_ts);
    store_u64(head + 64, batch->max_ts);
    store_u32(head + 72, batch->n);
    store_u32(head + 76, (uint32_t)body_len);
    store_u32(head + 80, crc32c(head + batch->head_len, body_len));
    store_u32(head + CRC_AT, s_head_crc(head, batch->head_len));
    memcpy(tail, s_end, sizeof s_end);
    memcpy(tail + 4, head + CRC_AT, 4);
    s_hash(head, batch->head_len, ret_hash);
    *ret = view_of(head, wal_batch_len(batch));
    return OK;
}

/* --- reading ----------------------------------------------------------------- */

/* NULL when a valid head was read, else what is wrong with it. */
static const char *s_parse_head(view_t bytes, wal_head_t *ret)
{
    const uint8_t *p = bytes.ptr;
    if (bytes.len < WAL_HEAD_BYTES)
        return "cut off in the head, byte 0";
    if (memcmp(p, s_magic, sizeof s_magic) != 0)
        return "no log object, byte 0";
    size_t name_len = load_u16(p + 6), head_len = WAL_HEAD_BYTES + s_pad(name_len);
    if (name_len < 1 || name_len > LIMIT_NAME_BYTES || head_len > bytes.len)
        return "wrong length of the channel's name, byte 6";
    if (load_u32(p + CRC_AT) != s_head_crc(p, head_len))
        return "checksum of the head, byte 84";
    if (load_u16(p + 4) != VERSION)
        return "version, byte 4";
    wal_head_t head = {
        .channel = view_of(p + WAL_HEAD_BYTES, name_len),
        .link = { .log = load_u64(p + 8), .stable = load_u64(p + 32),
                  .at = { .epoch = load_u64(p + 16), .seq = load_u64(p + 24) } },
        .min_ts = load_u64(p + 56), .max_ts = load_u64(p + 64), .n = load_u32(p + 72),
        .body_crc = load_u32(p + 80), .head_crc = load_u32(p + CRC_AT),
        .head_len = head_len, .body_len = load_u32(p + 76),
    };
    head.len = head_len + head.body_len + WAL_TAIL_BYTES;
    if (head.n == 0 || head.body_len % 8 || head.body_len / ENTRY_BYTES < head.n ||
        head.len > LIMIT_WAL_OBJECT_BYTES || head.link.stable >= head.link.at.seq)
        return "numbers of the head that cannot be, byte 24";
    memcpy(head.link.prev, p + 40, WAL_HASH_BYTES);
    s_hash(p, head_len, head.hash);
    *ret = head;
    return NULL;
}

bool wal_head_there(view_t bytes, wal_head_t *ret)
{
    return s_parse_head(bytes, ret) == NULL;
}

/* Magic and version share a word, so they are torn together: a strange version is
 * somebody else's, and never a reason to cut a log. */
err_t wal_head_read(ctx_t *ctx, view_t bytes, wal_head_t *ret)
{
    if (bytes.len >= 8 && memcmp(bytes.ptr, s_magic, sizeof s_magic) == 0 &&
        load_u16(bytes.ptr + 4) != VERSION)
        return ctx_fail(ctx, ERR_VERSION, "log object: version %u, this program knows %u",
                        load_u16(bytes.ptr + 4), VERSION);
    const char *wrong = s_parse_head(bytes, ret);
    return wrong ? ctx_fail(ctx, ERR_CORRUPT, "log object: %s", wrong) : OK;
}

err_t wal_reader_open(ctx_t *ctx, wal_reader_t *reader, view_t bytes)
{
    check((uintptr_t)bytes.ptr % 8 == 0);
    wal_head_t head;
    TRY(wal_head_read(ctx, bytes, &head));
    if (head.len > bytes.len)
        return ctx_fail(ctx, ERR_CORRUPT, "log object: cut off at byte %zu of %zu", bytes.len,
                        head.len);
    const uint8_t *tail = bytes.ptr + head.len - WAL_TAIL_BYTES;
    if (memcmp(tail, s_end, sizeof s_end) != 0 || load_u32(tail + 4) != head.head_crc)
        return ctx_fail(ctx, ERR_CORRUPT, "log object: its end is not of its head, byte %zu",
                        head.len - WAL_TAIL_BYTES);
    view_t body = view_of(bytes.ptr + head.head_len, head.body_len);
    if (crc32c(body.ptr, body.len) != head.body_crc)
        return ctx_fail(ctx, ERR_CORRUPT, "log object: checksum of the body, bytes %zu to %zu",
                        head.head_len, head.len - WAL_TAIL_BYTES);
    reader->head = head;
    reader->body = body;
    reader->at = reader->n_read = 0;
    reader->last_ts = head.min_ts;
    return OK;
}

void wal_reader_own(wal_reader_t *reader, const wal_batch_t *batch)
{
    *reader = (wal_reader_t){
        .head = { .n = batch->n, .min_ts = batch->min_ts, .max_ts = batch->max_ts,
                  .head_len = batch->head_len, .link = { .at = batch->at } },
        .body = view_of(batch->bytes.ptr + batch->head_len, batch->bytes.len - batch->head_len),
        .last_ts = batch->min_ts,
    };
}

static err_t s_bad_entry(ctx_t *ctx, const wal_reader_t *reader, const char *what)
{
    return ctx_fail(ctx, ERR_CORRUPT, "log object: entry %u, byte %zu: %s", reader->n_read,
                    reader->head.head_len + reader->at, what);
}

/* The columns of an entry from byte `at` of it on. */
static err_t s_read_columns(ctx_t *ctx, wal_reader_t *reader, view_t bytes, size_t at,
                            wal_entry_t *entry)
{
    size_t ids_at = at, used = 0;
    if (entry->n_fields > (bytes.len - at) / 8)
        return s_bad_entry(ctx, reader, "no room for its field ids");
    at += 8 * entry->n_fields;
    if (entry->deletes) {
        TRY(column_read(ctx, view_of(bytes.ptr + at, bytes.len - at), &reader->deletes, &used));
        at += used;
    }
    for (size_t i = 0; i < entry->n_fields; i++) {
        wal_field_t *field = &reader->fields[i];
        field->id = load_i64(bytes.ptr + ids_at + 8 * i);
        TRY(column_read(ctx, view_of(bytes.ptr + at, bytes.len - at), &field->column, &used));
        if (field->column.n != reader->fields[0].column.n)
            return s_bad_entry(ctx, reader, "columns of unequal length");
        at += used;
    }
    return at == bytes.len ? OK : s_bad_entry(ctx, reader, "bytes left over");
}

static err_t s_read_entry(ctx_t *ctx, wal_reader_t *reader, view_t bytes, wal_entry_t *ret)
{
    const uint8_t *p = bytes.ptr;
    size_t name_len = load_u16(p + 6), note_len = load_u32(p + 60), n_fields = load_u32(p + 56);
    uint8_t kind = p[4], flags = p[5];
    if (kind < WAL_INSERT || kind > WAL_BARRIER || (n_fields > 0) != s_has_rows(kind) ||
        (flags & ~FLAG_EARLY) != (s_has_deletes(kind) ? FLAG_DELETES : 0) ||
        n_fields > LIMIT_WAL_FIELDS)
        return s_bad_entry(ctx, reader, "kind and columns do not go together");
    size_t left = bytes.len - ENTRY_BYTES;
    if (name_len > LIMIT_WAL_NAME_BYTES || s_pad(name_len) > left ||
        s_pad(note_len) > left - s_pad(name_len))
        return s_bad_entry(ctx, reader, "no room for its names");
    wal_entry_t entry = {
        .kind = (wal_kind_t)kind, .timestamp = load_u64(p + 8), .collection = load_i64(p + 16),
        .partition = load_i64(p + 24), .segment = load_i64(p + 32),
        .request = { load_u64(p + 40), load_u64(p + 48) }, .early = flags & FLAG_EARLY,
        .vchannel = view_of(p + ENTRY_BYTES, name_len),
        .note = view_of(p + ENTRY_BYTES + s_pad(name_len), note_len),
        .deletes = flags & FLAG_DELETES ? &reader->deletes : NULL,
        .fields = n_fields ? reader->fields : NULL, .n_fields = n_fields,
    };
    if (entry.timestamp < reader->last_ts || entry.timestamp > reader->head.max_ts)
        return s_bad_entry(ctx, reader, "timestamp out of order");
    TRY(s_read_columns(ctx, reader, bytes, ENTRY_BYTES + s_pad(name_len) + s_pad(note_len),
                       &entry));
    *ret = entry;
    return OK;
}

err_t wal_reader_next(ctx_t *ctx, wal_reader_t *reader, wal_entry_t *ret, bool *ret_more)
{
    size_t left = reader->body.len - reader->at;
    if (reader->n_read == reader->head.n && left > 0)
        return s_bad_entry(ctx, reader, "bytes behind the last one");
    if (reader->n_read == reader->head.n) {
        *ret_more = false;
        return OK;
    }
    const uint8_t *p = reader->body.ptr + reader->at;
    size_t len = left >= ENTRY_BYTES ? load_u32(p) : 0;
    if (len < ENTRY_BYTES || len % 8 || len > left)
        return s_bad_entry(ctx, reader, "length");
    TRY(s_read_entry(ctx, reader, view_of(p, len), ret));
    reader->at += len;
    reader->last_ts = ret->timestamp;
    reader->n_read++;
    *ret_more = true;
    return OK;
}
