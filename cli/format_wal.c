/* format_wal - log objects and the files of a local log; bytes: core/wal/wal_record.h */
#include "cli/format.h"
#include "cli/show.h"
#include "core/base/crc.h"
#include "core/wal/wal_record.h"

enum { EPOCH_BYTES = 64 };

static const char *s_kind(wal_kind_t kind)
{
    switch (kind) {
#define X(name, number) case WAL_##name: return #name;
    WAL_KIND_TABLE(X)
#undef X
    }
    return "?";
}

static const char *s_name(ctx_t *ctx, view_t text)
{
    return ctx_printf(ctx, "%.*s", (int)text.len, (const char *)text.ptr);
}

static json_t *s_entry(ctx_t *ctx, const wal_entry_t *entry)
{
    json_t *item = json_object();
    size_t rows = entry->n_fields ? entry->fields[0].column.n : 0;
    format_text(item, "kind", s_kind(entry->kind));
    format_ts(ctx, item, "time", entry->timestamp);
    format_count(item, "rows", rows);
    format_count(item, "deletes", entry->deletes ? entry->deletes->n : 0);
    format_text(item, "vchannel", s_name(ctx, entry->vchannel));
    format_count(item, "columns", entry->n_fields);
    format_id(item, "segment", (uint64_t)entry->segment);
    format_text(item, "partition", ctx_printf(ctx, "%lld", (long long)entry->partition));
    format_id(item, "collection", (uint64_t)entry->collection);
    json_object_set_new(item, "early", json_boolean(entry->early));
    format_text(item, "request", ctx_printf(ctx, "%016llx%016llx",
                (unsigned long long)entry->request[0], (unsigned long long)entry->request[1]));
    format_count(item, "note_bytes", entry->note.len);
    format_id(item, "ts", entry->timestamp);
    return item;
}

static err_t s_entries(ctx_t *ctx, view_t object, json_t *into)
{
    wal_reader_t *reader = ctx_new(ctx, sizeof *reader);
    TRY(wal_reader_open(ctx, reader, object));
    for (;;) {
        wal_entry_t entry;
        bool more = false;
        TRY(wal_reader_next(ctx, reader, &entry, &more));
        if (!more)
            return OK;
        json_array_append_new(into, s_entry(ctx, &entry));
    }
}

static void s_head(ctx_t *ctx, const wal_head_t *head, json_t *into)
{
    format_count(into, "epoch", head->link.at.epoch);
    format_count(into, "seq", head->link.at.seq);
    format_count(into, "entries", head->n);
    format_count(into, "bytes", head->len);
    format_ts(ctx, into, "first", head->min_ts);
    format_ts(ctx, into, "last", head->max_ts);
    format_count(into, "stable", head->link.stable);
    format_text(into, "hash", show_hex(ctx, view_of(head->hash, WAL_HASH_BYTES), WAL_HASH_BYTES));
    format_text(into, "previous", show_hex(ctx, view_of(head->link.prev, WAL_HASH_BYTES),
                                           WAL_HASH_BYTES));
    format_text(into, "head_crc", ctx_printf(ctx, "%08x ok", head->head_crc));
}

static err_t s_body_crc(ctx_t *ctx, const wal_head_t *head, view_t object, json_t *into)
{
    bool whole = object.len >= head->len;
    bool good = whole && crc32c(object.ptr + head->head_len, head->body_len) == head->body_crc;
    format_text(into, "body_crc", ctx_printf(ctx, "%08x %s", head->body_crc, good ? "ok"
                : whole ? "wrong" : "cut"));
    return OK;
}

/* One object alone: its entries are the list. */
static err_t s_object(ctx_t *ctx, const wal_head_t *head, view_t bytes, json_t *into)
{
    json_t *entries = json_array();
    format_text(into, "format", "log object");
    format_text(into, "channel", s_name(ctx, head->channel));
    format_text(into, "log", ctx_printf(ctx, "%016llx", (unsigned long long)head->link.log));
    s_head(ctx, head, into);
    TRY(s_body_crc(ctx, head, bytes, into));
    json_object_del(into, "entries");
    json_object_set_new(into, "entries", entries);
    return s_entries(ctx, bytes, entries);
}

static bool s_zeros(view_t bytes)
{
    return bytes.len == 0 || (bytes.ptr[0] == 0 &&
                              memcmp(bytes.ptr, bytes.ptr + 1, bytes.len - 1) == 0);
}

/* A file of a local log: objects one behind the other, then zeros. */
static err_t s_file(ctx_t *ctx, const format_ask_t *ask, view_t bytes, json_t *into)
{
    json_t *objects = json_array();
    wal_head_t head;
    size_t at = 0;
    format_text(into, "format", "log file");
    json_object_set_new(into, "objects", objects);
    while (wal_head_there(view_of(bytes.ptr + at, bytes.len - at), &head)) {
        view_t object = view_of(bytes.ptr + at, head.len < bytes.len - at ? head.len
                                                                          : bytes.len - at);
        json_t *item = json_object();
        json_t *entries = json_array();
        json_array_append_new(objects, item);
        format_count(item, "offset", at);
        s_head(ctx, &head, item);
        TRY(s_body_crc(ctx, &head, object, item));
        err_t err = s_entries(ctx, object, entries);
        if (ask->entries)
            json_object_set(item, "contents", entries);
        json_decref(entries);
        if (err != OK)
            return ctx_prefix(ctx, "in the object at %zu", at);
        if (at == 0)
            format_text(into, "channel", s_name(ctx, head.channel));
        at += head.len;
    }
    view_t rest = view_of(bytes.ptr + at, bytes.len - at);
    format_count(into, "ends_at", at);
    format_count(into, "free_bytes", rest.len);
    if (!s_zeros(rest))
        return ctx_fail(ctx, ERR_CORRUPT, "no object begins at %zu, and what is there is not "
                        "zeros: a write that was cut, or damage", at);
    return OK;
}

err_t format_wal(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                 json_t *into)
{
    wal_head_t head;
    err_t err = wal_head_read(ctx, bytes, &head);
    if (err == OK && head.len == bytes.len)
        err = s_object(ctx, &head, bytes, into);
    else if (err == OK && head.len > bytes.len) {
        err = s_object(ctx, &head, bytes, into);
        if (err == OK)
            err = ctx_fail(ctx, ERR_CORRUPT, "cut at %zu", bytes.len);
    } else if (err == OK)
        err = s_file(ctx, ask, bytes, into);
    return err == OK ? OK : ctx_prefix(ctx, "%s", name);
}

/* Who wrote last to a local log, and how far it reached; bytes: core/wal/wal_local.h */
err_t format_wal_epoch(ctx_t *ctx, const format_ask_t *ask, view_t bytes, const char *name,
                       json_t *into)
{
    (void)ask;
    format_text(into, "format", "epoch of a local log");
    if (bytes.len != EPOCH_BYTES)
        return ctx_fail(ctx, ERR_CORRUPT, "%s is damaged at %zu: it has to have %d bytes", name,
                        bytes.len, EPOCH_BYTES);
    const uint8_t *p = bytes.ptr;
    if (crc32c(p, EPOCH_BYTES - 4) != load_u32(p + EPOCH_BYTES - 4))
        return ctx_fail(ctx, ERR_CORRUPT, "%s is damaged at %d: the checksum is wrong", name,
                        EPOCH_BYTES - 4);
    if (load_u32(p + 4) != 1)
        return ctx_fail(ctx, ERR_VERSION, "%s has version %u, this program reads 1", name,
                        load_u32(p + 4));
    format_text(into, "log", ctx_printf(ctx, "%016llx", (unsigned long long)load_u64(p + 8)));
    format_count(into, "epoch", load_u64(p + 16));
    format_count(into, "end", load_u64(p + 24));
    format_text(into, "hash", show_hex(ctx, view_of(p + 32, 16), 16));
    format_ts(ctx, into, "last", load_u64(p + 48));
    format_text(into, "crc", "ok");
    return OK;
}
