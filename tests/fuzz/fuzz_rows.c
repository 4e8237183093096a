/* fuzz_rows - bytes as rows from a stranger
 *
 * The first byte picks what the rest are: an InsertRequest, JSON rows as REST
 * sends them, or a text that may be JSON.  Promises:
 *
 *   rows taken    every column has as many cells as rows were claimed, and the log's own
 *                 reader finds them all in the objects made of them
 *   rows refused  with a text
 *   JSON          what jansson takes, json_text takes, but for NUL bytes between values
 */
#include <jansson.h>

#include "core/base/base.h"
#include "core/base/limits.h"
#include "core/wal/wal_record.h"
#include "core/wire/wire.h"
#include "proxy/json_rows.h"
#include "proxy/json_text.h"
#include "proxy/write_plan.h"
#include "tests/support/replay.h"

enum { BUDGET_BYTES = 4 << 20, SHARDS = 2 };

static schema_t *s_schema(void)
{
    static const field_t s_fields[] = {
        { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
        { .id = 101, .name = "b", .type = TYPE_BOOL },
        { .id = 102, .name = "i", .type = TYPE_INT8 },
        { .id = 103, .name = "f", .type = TYPE_FLOAT },
        { .id = 104, .name = "s", .type = TYPE_VARCHAR, .max_length = 8 },
        { .id = 105, .name = "j", .type = TYPE_JSON },
        { .id = 106, .name = "a", .type = TYPE_ARRAY, .element = TYPE_INT16, .max_capacity = 3 },
        { .id = 107, .name = "t", .type = TYPE_ARRAY, .element = TYPE_VARCHAR, .max_capacity = 3,
          .max_length = 4 },
        { .id = 108, .name = "n", .type = TYPE_INT32, .nullable = true },
        { .id = 109, .name = "v", .type = TYPE_FLOAT_VECTOR, .dim = 2 },
        { .id = 110, .name = "x", .type = TYPE_BINARY_VECTOR, .dim = 8 },
        { .id = 111, .name = "h", .type = TYPE_FLOAT16_VECTOR, .dim = 2 },
        { .id = 112, .name = "sp", .type = TYPE_SPARSE_VECTOR },
        { .id = 113, .name = "$meta", .type = TYPE_JSON, .dynamic = true },
    };
    return schema_new(s_fields, ARRAY_LEN(s_fields));
}

/* Rows in the object of one shard. */
static size_t s_rows_in(ctx_t *ctx, const write_plan_t *plan, size_t shard)
{
    static const char *const s_names[SHARDS] = { "dml_0_1v0", "dml_1_1v1" };
    buf_scoped object = {0};
    wal_reader_t reader;
    wal_entry_t entry;
    size_t rows = 0;
    bool more = false;
    if (!write_plan_touches(plan, shard))
        return 0;
    check(write_plan_object(ctx, plan, shard, s_names[shard], 1, &object) == OK);
    check(wal_reader_open(ctx, &reader, buf_view(&object)) == OK);
    for (;;) {
        check(wal_reader_next(ctx, &reader, &entry, &more) == OK);
        if (!more)
            return rows;
        rows += entry.fields[0].column.n;
    }
}

static void s_check_rows(ctx_t *ctx, const rows_input_t *in, const rows_t *rows)
{
    int64_t partition = 7;
    write_plan_t plan = { .schema = in->schema, .collection = 1, .n_shards = SHARDS,
                          .partitions = &partition, .n_partitions = 1 };
    for (size_t i = 0; i < schema_len(in->schema); i++)
        check(rows->columns[i].n == in->n_rows);
    ctx->budget_bytes = 0;                      /* what was taken fits in memory */
    check(write_plan_rows(ctx, &plan, rows, false) == OK);
    check(s_rows_in(ctx, &plan, 0) + s_rows_in(ctx, &plan, 1) == rows->n);
}

static err_t s_take(ctx_t *ctx, const rows_input_t *in)
{
    rows_t rows;
    TRY(rows_read(ctx, in, &rows));
    s_check_rows(ctx, in, &rows);
    return OK;
}

static err_t s_message(ctx_t *ctx, schema_t *schema, view_t bytes)
{
    Milvus__InsertRequest *r = NULL;
    TRY(wire_unpack_borrow(ctx, &milvus__insert_request__descriptor, bytes,
                           (ProtobufCMessage **)&r));
    rows_input_t in = { .schema = schema, .data = r->fields_data, .n_data = r->n_fields_data,
                        .n_rows = r->num_rows };
    return s_take(ctx, &in);
}

static err_t s_json_rows(ctx_t *ctx, schema_t *schema, view_t bytes)
{
    json_t *data = json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
    if (!data)
        return ctx_fail(ctx, ERR_REST_JSON, "no JSON");
    rows_input_t in = { .schema = schema };
    Schema__FieldData **fields = NULL;
    err_t err = json_rows(ctx, data, schema, false, &fields, &in.n_data, &in.n_rows);
    in.data = fields;
    if (err == OK)
        err = s_take(ctx, &in);
    json_decref(data);
    return err;
}

static bool s_any_key(void *arg, view_t key)
{
    (void)arg;
    return key.len != 1;
}

static err_t s_text(ctx_t *ctx, view_t bytes)
{
    char why[JSON_WHY_BYTES];
    const char *wrong = json_text_check(bytes, NULL, NULL, why);
    const char *keys = json_text_check(bytes, s_any_key, NULL, why);
    check(!wrong || keys);
    json_t *value = json_loadb((const char *)bytes.ptr, bytes.len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    check(!value || !wrong || strcmp(wrong, "exceeded max depth") == 0 ||
          memchr(bytes.ptr, '\0', bytes.len));
    json_decref(value);
    return wrong ? ctx_fail(ctx, ERR_PARAM_INVALID, "%s", wrong) : OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    ctx_t ctx;
    ctx_init(&ctx);
    ctx.budget_bytes = BUDGET_BYTES;
    owned(schema) schema = s_schema();
    view_t bytes = view_of(data + 1, size - 1);
    err_t err = data[0] % 3 == 0 ? s_message(&ctx, schema, bytes)
              : data[0] % 3 == 1 ? s_json_rows(&ctx, schema, bytes) : s_text(&ctx, bytes);
    check(err == OK || ctx.text[0] != '\0');
    ctx_fini(&ctx);
    return 0;
}
