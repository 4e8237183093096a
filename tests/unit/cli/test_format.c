/* format: what the real writers wrote is told; whatever is cut or flipped is refused with an
 * offset, and nothing of it makes the program fall. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "cli/format.h"
#include "cli/show.h"
#include "core/scalar/scalar_index.h"
#include "core/segment/binlog.h"
#include "core/segment/delta.h"
#include "core/segment/stats.h"
#include "core/wal/wal_record.h"
#include "tests/support/index_data.h"
#include "tests/support/random_rows.h"

enum { ROWS = 150, FLIPS = 400 };

typedef struct world {
    ctx_t ctx;
    schema_t *schema;
    random_rows_t rows;
    buf_t bytes;
} world_t;

static int s_up(void **state)
{
    world_t *world = mem_new(sizeof *world);
    rng_t rng;
    rng_seed(&rng, 3);
    ctx_init(&world->ctx);
    world->schema = random_rows_schema(TYPE_INT64);
    random_rows_init(&world->rows, world->schema);
    random_rows_add(&world->rows, world->schema, &rng, ROWS, 1000);
    *state = world;
    return 0;
}

static int s_down(void **state)
{
    world_t *world = *state;
    buf_fini(&world->bytes);
    random_rows_fini(&world->rows);
    schema_unref(&world->schema);
    ctx_fini(&world->ctx);
    mem_free(world);
    return 0;
}

static const format_ask_t s_all = { .most = 1000, .entries = true };

/* 64-aligned and exactly as long, so that a sanitizer sees who reads behind the end. */
static err_t s_read(ctx_t *ctx, view_t bytes, json_t *into)
{
    uint8_t *memory = NULL;
    assert_int_equal(posix_memalign((void **)&memory, 64, bytes.len + !bytes.len), 0);
    if (bytes.len)
        memcpy(memory, bytes.ptr, bytes.len);
    err_t err = format_read(ctx, &s_all, view_of(memory, bytes.len), "some/key", into);
    free(memory);
    return err;
}

static json_t *s_told(world_t *world)
{
    json_t *root = json_object();
    if (s_read(&world->ctx, buf_view(&world->bytes), root) != OK)
        fail_msg("%s", world->ctx.text);
    return root;
}

static void s_refused(view_t bytes)
{
    ctx_t ctx;
    ctx_init(&ctx);
    json_t *root = json_object();
    err_t err = s_read(&ctx, bytes, root);
    assert_true(err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_PARAM_INVALID);
    assert_non_null(strstr(ctx.text, "some/key"));
    buf_scoped text = {0};
    format_print(&ctx, root, 80, &text);        /* what was read until then can be shown */
    json_decref(root);
    ctx_fini(&ctx);
}

/* Every cut near the ends, some between; seeded flips of one bit. */
static void s_damage(world_t *world)
{
    rng_t rng;
    rng_seed(&rng, 11);
    size_t len = world->bytes.len, step = len / 300 + 1;
    for (size_t cut = 0; cut < len; cut += cut < 200 || len - cut < 100 ? 1 : step)
        s_refused(view_of(world->bytes.ptr, cut));
    for (int i = 0; i < FLIPS; i++) {
        size_t at = i < 128 ? (size_t)i : rng_below(&rng, len);
        uint8_t bit = (uint8_t)(1u << rng_below(&rng, 8));
        if (at >= len)
            continue;
        world->bytes.ptr[at] ^= bit;
        s_refused(buf_view(&world->bytes));
        world->bytes.ptr[at] ^= bit;
    }
}

/* --- the log -------------------------------------------------------------------------- */

static void s_add_object(world_t *world, uint64_t seq)
{
    wal_batch_t batch;
    view_t object = {0};
    uint8_t hash[WAL_HASH_BYTES];
    wal_field_t field = { 100, world->rows.columns[0] };
    wal_entry_t entry = { .kind = WAL_INSERT, .timestamp = 50 * seq, .collection = 7,
                          .partition = 8, .segment = 9, .request = { 1, 2 },
                          .vchannel = view_str("ch0_7v0"), .fields = &field, .n_fields = 1 };
    wal_batch_init(&batch, view_str("ch0"));
    assert_int_equal(wal_batch_add(&world->ctx, &batch, &entry), OK);
    entry.kind = WAL_DELETE, entry.fields = NULL, entry.n_fields = 0;
    entry.deletes = &world->rows.columns[0];
    assert_int_equal(wal_batch_add(&world->ctx, &batch, &entry), OK);
    const wal_link_t link = { .log = 77, .stable = seq - 1, .at = { .epoch = 3, .seq = seq } };
    assert_int_equal(wal_batch_seal(&world->ctx, &batch, &link, &object, hash), OK);
    buf_add_view(&world->bytes, object);
    wal_batch_fini(&batch);
}

static void a_log_object_is_told(void **state)
{
    world_t *world = *state;
    s_add_object(world, 5);
    json_t *root = s_told(world);
    assert_string_equal(show_text(root, "format"), "log object");
    assert_string_equal(show_text(root, "channel"), "ch0");
    assert_int_equal(show_int(root, "epoch", 0), 3);
    assert_int_equal(show_int(root, "seq", 0), 5);
    assert_non_null(strstr(show_text(root, "body_crc"), "ok"));
    const json_t *entries = json_object_get(root, "entries");
    assert_int_equal(json_array_size(entries), 2);
    assert_string_equal(show_text(json_array_get(entries, 0), "kind"), "INSERT");
    assert_int_equal(show_int(json_array_get(entries, 0), "rows", 0), ROWS);
    assert_int_equal(show_int(json_array_get(entries, 1), "deletes", 0), ROWS);
    json_decref(root);
    s_damage(world);
}

static void a_log_file_ends_where_zeros_begin(void **state)
{
    world_t *world = *state;
    static const uint8_t s_zeros[4096];
    for (uint64_t seq = 1; seq <= 3; seq++)
        s_add_object(world, seq);
    size_t end = world->bytes.len;
    buf_add(&world->bytes, s_zeros, sizeof s_zeros);
    json_t *root = s_told(world);
    assert_string_equal(show_text(root, "format"), "log file");
    assert_int_equal(json_array_size(json_object_get(root, "objects")), 3);
    assert_int_equal(show_int(root, "ends_at", 0), end);
    assert_int_equal(show_int(root, "free_bytes", 0), sizeof s_zeros);
    json_decref(root);

    world->bytes.ptr[end + 700] = 1;            /* a write that was cut */
    root = json_object();
    assert_int_equal(s_read(&world->ctx, buf_view(&world->bytes), root), ERR_CORRUPT);
    assert_non_null(strstr(world->ctx.text, ctx_printf(&world->ctx, "at %zu", end)));
    assert_int_equal(json_array_size(json_object_get(root, "objects")), 3);
    json_decref(root);
}

/* --- segments ------------------------------------------------------------------------------ */

static void binlogs_of_every_type_are_told(void **state)
{
    world_t *world = *state;
    for (size_t i = 0; i < schema_len(world->schema); i++) {
        const field_t *field = schema_at(world->schema, i);
        binlog_head_t head = { .field = field->id, .segment = 77, .first = 640,
                               .raw = type_is_vector(field->type) };
        buf_reset(&world->bytes);
        assert_int_equal(binlog_write(&world->ctx, &head, &world->rows.columns[i], 1,
                                      &world->bytes), OK);
        json_t *root = s_told(world);
        assert_string_equal(show_text(root, "segment"), "77");
        assert_string_equal(show_text(root, "type"), type_name(field->type));
        assert_int_equal(show_int(root, "rows", 0), ROWS);
        assert_string_equal(show_text(root, "pages_crc"), "ok");
        assert_int_equal(json_array_size(json_object_get(root, "pages")),
                         show_int(root, "n_pages", 0));
        json_decref(root);
        if (i == 0 || field->type == TYPE_FLOAT_VECTOR || field->type == TYPE_VARCHAR)
            s_damage(world);
    }
}

static void a_deltalog_is_told(void **state)
{
    world_t *world = *state;
    uint64_t ts[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        ts[i] = (1790000000000u << 18) + i;
    assert_int_equal(delta_write(&world->ctx, 9, &world->rows.columns[0], ts, &world->bytes), OK);
    json_t *root = s_told(world);
    assert_string_equal(show_text(root, "format"), "deltalog");
    assert_int_equal(show_int(root, "n_records", 0), ROWS);
    const json_t *first = json_array_get(json_object_get(root, "records"), 0);
    assert_true(show_text(first, "pk")[0] != '\0');
    json_decref(root);
    s_damage(world);
}

static void stats_are_told(void **state)
{
    world_t *world = *state;
    uint64_t ts[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        ts[i] = 100 + i;
    owned(stats) stats = NULL;
    assert_int_equal(stats_make(&world->ctx, TYPE_INT64, 9, ROWS, &stats), OK);
    assert_int_equal(stats_add(&world->ctx, stats, &world->rows.columns[0], ts), OK);
    stats_write(stats, &world->bytes);
    json_t *root = s_told(world);
    assert_string_equal(show_text(root, "format"), "stats");
    assert_int_equal(show_int(root, "rows", 0), ROWS);
    assert_true(show_text(root, "least_key")[0] != '\0');
    json_decref(root);
    s_damage(world);
}

/* --- indexes -------------------------------------------------------------------------------- */

static const index_spec_t s_spec = {
    .type = INDEX_IVF_FLAT, .metric = METRIC_L2, .cells = CELL_F32, .dim = 8, .seed = 4610,
    .nlist = 4,
};

static void a_vector_index_is_told(void **state)
{
    world_t *world = *state;
    index_data_t data;
    index_data_init(&data, &s_spec, ROWS, 1, 1);
    assert_int_equal(index_data_build(&data, &world->ctx, NULL), OK);
    view_t bytes[INDEX_DATA_OBJECTS];
    const char *names[INDEX_DATA_OBJECTS];
    for (size_t i = 0; i < data.built.n_objects; i++) {
        bytes[i] = buf_view(&data.objects[i]);
        names[i] = "some/key";
    }
    json_t *root = json_object();
    assert_int_equal(format_index_objects(&world->ctx, bytes, names, data.built.n_objects, root),
                     OK);
    assert_string_equal(show_text(root, "type"), "IVF_FLAT");
    assert_string_equal(show_text(root, "build"), "4610");
    assert_int_equal(show_int(root, "rows", 0), ROWS);
    assert_true(json_array_size(json_object_get(root, "sections")) > 0);
    json_decref(root);

    for (size_t i = 0; i < data.built.n_objects; i++) {
        root = json_object();
        buf_reset(&world->bytes);
        buf_add_view(&world->bytes, bytes[i]);
        assert_int_equal(s_read(&world->ctx, bytes[i], root), OK);
        assert_int_equal(show_int(root, "object", -1), i);
        json_decref(root);
        for (size_t cut = 0; cut < world->bytes.len; cut += 1 + cut / 8)
            s_refused(view_of(world->bytes.ptr, cut));
        for (size_t at = 0; at < 64; at++) {
            world->bytes.ptr[at] ^= 4;
            s_refused(buf_view(&world->bytes));
            world->bytes.ptr[at] ^= 4;
        }
    }
    index_data_fini(&data);
}

static void a_scalar_index_is_told(void **state)
{
    world_t *world = *state;
    const scalar_spec_t spec = { .type = SCALAR_INVERTED, .cells = TYPE_INT64, .seed = 12 };
    assert_int_equal(scalar_index_build(&world->ctx, &spec, &world->rows.columns[0], 1, NULL,
                                        &world->bytes), OK);
    json_t *root = s_told(world);
    assert_string_equal(show_text(root, "format"), "scalar index");
    assert_string_equal(show_text(root, "type"), "INVERTED");
    assert_int_equal(show_int(root, "rows", 0), ROWS);
    json_decref(root);
    s_damage(world);
}

/* --- printing -------------------------------------------------------------------------------- */

static void members_come_first_and_lists_are_tables(void **state)
{
    world_t *world = *state;
    json_t *root = json_pack("{s:s, s:[{s:i, s:s}, {s:i, s:n}], s:i, s:[s, s], s:n, s:[]}",
                             "name", "x\033y", "rows", "n", 1, "why", "a", "n", 22, "why", "size",
                             7, "keys", "k1", "k2", "none", "empty");
    buf_scoped text = {0};
    format_print(&world->ctx, root, 80, &text);
    assert_string_equal(buf_str(&text),
                        "name   x?y\nsize   7\nnone   -\nempty  []\n"
                        "\nrows (2)\n n  why\n 1  a\n22  -\n\nkeys (2)\n  k1\n  k2\n");
    json_decref(root);
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_log_object_is_told),
        T(a_log_file_ends_where_zeros_begin),
        T(binlogs_of_every_type_are_told),
        T(a_deltalog_is_told),
        T(stats_are_told),
        T(a_vector_index_is_told),
        T(a_scalar_index_is_told),
        T(members_come_first_and_lists_are_tables),
    };
    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
