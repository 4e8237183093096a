/* Scalar indexes: what they answer are the bits that a scan of the column gives, whatever the
 * type, the number of values, nulls and NaNs; their bytes depend on the rows only; damage is an
 * error, and so is every fault.
 *
 * The reference is core/expr over the column, which has a reference of its own (test_expr_random).
 *
 *     SCALAR_SEED=7 build/release/tests/unit/scalar/test_scalar_index */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/crc.h"
#include "core/base/fault.h"
#include "core/base/rng.h"
#include "tests/support/scalar_data.h"

enum { ROWS = 9000, MANY_ROWS = 140000, FILTERS = 60 };

static const struct { scalar_type_t type; type_t cells, element; } s_kinds[] = {
    { SCALAR_SORT, TYPE_INT8, TYPE_NONE }, { SCALAR_SORT, TYPE_INT64, TYPE_NONE },
    { SCALAR_SORT, TYPE_FLOAT, TYPE_NONE }, { SCALAR_SORT, TYPE_DOUBLE, TYPE_NONE },
    { SCALAR_INVERTED, TYPE_BOOL, TYPE_NONE }, { SCALAR_INVERTED, TYPE_INT16, TYPE_NONE },
    { SCALAR_INVERTED, TYPE_INT32, TYPE_NONE }, { SCALAR_INVERTED, TYPE_FLOAT, TYPE_NONE },
    { SCALAR_INVERTED, TYPE_DOUBLE, TYPE_NONE }, { SCALAR_INVERTED, TYPE_VARCHAR, TYPE_NONE },
    { SCALAR_INVERTED, TYPE_ARRAY, TYPE_INT32 }, { SCALAR_INVERTED, TYPE_ARRAY, TYPE_VARCHAR },
    { SCALAR_INVERTED, TYPE_ARRAY, TYPE_DOUBLE },
    { SCALAR_BITMAP, TYPE_BOOL, TYPE_NONE }, { SCALAR_BITMAP, TYPE_INT64, TYPE_NONE },
    { SCALAR_BITMAP, TYPE_VARCHAR, TYPE_NONE }, { SCALAR_BITMAP, TYPE_ARRAY, TYPE_VARCHAR },
    { SCALAR_BITMAP, TYPE_ARRAY, TYPE_BOOL }, { SCALAR_BITMAP, TYPE_ARRAY, TYPE_INT16 },
    { SCALAR_TRIE, TYPE_VARCHAR, TYPE_NONE },
};

static const uint64_t s_spreads[] = { 1, 3, 40, 2000, 1ull << 40 };    /* different values, about */

typedef struct world {
    ctx_t ctx;
    rng_t rng;
    scalar_type_t type;
    field_t fields[2];
    schema_t *schema;
    column_builder_t built[2];
    column_t column[2];
    const column_t *columns[2];
    uint64_t spread;
} world_t;

/* --- random cells ------------------------------------------------------------------------- */

static int64_t s_integer(world_t *w, type_t cells)
{
    int bits = cells == TYPE_INT8 ? 8 : cells == TYPE_INT16 ? 16 : cells == TYPE_INT32 ? 32 : 64;
    uint64_t i = rng_below(&w->rng, w->spread), turned = i % 3 == 0 ? 0 - i : i * 7;
    return (int64_t)(turned << (64 - bits)) >> (64 - bits);
}

static double s_real(world_t *w)
{
    double d = (double)rng_below(&w->rng, w->spread);
    uint64_t odd = rng_below(&w->rng, 30);
    return odd == 0 ? (double)NAN : odd == 1 ? -0.0 : odd == 2 ? (double)INFINITY
         : odd == 3 ? (double)-INFINITY : fmod(d, 4) == 0 ? -d / 8 : d / 4;
}

/* Texts that share their beginnings, some of them beginnings of others. */
static void s_text(world_t *w, buf_t *into)
{
    static const char *const parts[] = { "ab", "a", "common prefix ", "\xc3\xa9", "\x01", "z_%",
                                         "\xf0\x9f\x98\x80" };
    uint64_t i = rng_below(&w->rng, w->spread);
    for (unsigned n = 0; i > 0 && n < 40; n++, i /= ARRAY_LEN(parts))
        buf_add_str(into, parts[i % ARRAY_LEN(parts)]);
}

static void s_scalar(world_t *w, type_t cells, buf_t *into)
{
    double d = s_real(w);
    float f = (float)d;
    int64_t i = s_integer(w, cells);
    if (cells == TYPE_VARCHAR)
        s_text(w, into);
    else if (cells == TYPE_BOOL)
        buf_add_u8(into, (uint8_t)rng_below(&w->rng, 2));
    else if (cells == TYPE_FLOAT)
        buf_add(into, &f, sizeof f);
    else if (cells == TYPE_DOUBLE)
        buf_add(into, &d, sizeof d);
    else
        buf_add(into, &i, type_width(cells, 0));
}

static void s_cell(world_t *w, buf_t *into)
{
    const field_t *field = &w->fields[1];
    if (field->type != TYPE_ARRAY) {
        s_scalar(w, field->type, into);
        return;
    }
    uint32_t n = (uint32_t)rng_below(&w->rng, 5);
    buf_add_u32(into, n);
    for (; n > 0; n--) {
        buf_scoped element = {0};
        s_scalar(w, field->element, &element);
        if (field->element == TYPE_VARCHAR)
            buf_add_u32(into, (uint32_t)element.len);
        buf_add_view(into, buf_view(&element));
    }
}

static void s_init(world_t *w, size_t kind, uint64_t spread, size_t n, double nulls, uint64_t seed)
{
    *w = (world_t){ .type = s_kinds[kind].type, .spread = spread };
    ctx_init(&w->ctx);
    rng_seed(&w->rng, seed);
    w->fields[0] = (field_t){ .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true };
    w->fields[1] = (field_t){ .id = 101, .name = "x", .type = s_kinds[kind].cells,
                              .element = s_kinds[kind].element, .max_length = 1000,
                              .max_capacity = 10, .nullable = true };
    w->schema = schema_new(w->fields, 2);
    for (size_t f = 0; f < 2; f++)
        column_builder_init(&w->built[f], &w->fields[f]);
    for (size_t i = 0; i < n; i++) {
        buf_scoped cell = {0};
        column_builder_add(&w->built[0], view_of(&(int64_t){ (int64_t)i }, 8));
        s_cell(w, &cell);
        if (rng_chance(&w->rng, nulls))
            column_builder_add_null(&w->built[1]);
        else
            column_builder_add(&w->built[1], buf_view(&cell));
    }
    for (size_t f = 0; f < 2; f++) {
        w->column[f] = column_builder_view(&w->built[f]);
        w->columns[f] = &w->column[f];
    }
}

static void s_fini(world_t *w)
{
    for (size_t f = 0; f < 2; f++)
        column_builder_fini(&w->built[f]);
    schema_unref(&w->schema);
    ctx_fini(&w->ctx);
}

/* --- random filters ----------------------------------------------------------------------- */

static type_t s_value_type(const world_t *w)
{
    return w->fields[1].type == TYPE_ARRAY ? w->fields[1].element : w->fields[1].type;
}

static void s_add_constant(world_t *w, buf_t *text)
{
    type_t type = s_value_type(w);
    buf_scoped cell = {0};
    double d = s_real(w);
    if (type == TYPE_BOOL) {
        buf_add_str(text, rng_below(&w->rng, 2) ? "true" : "false");
    } else if (type == TYPE_VARCHAR) {
        s_text(w, &cell);
        buf_addf(text, "\"%s\"", buf_str(&cell));
    } else if (type == TYPE_FLOAT || type == TYPE_DOUBLE) {
        buf_addf(text, "%.17g", isfinite(d) ? d : 0.25);
    } else {
        buf_addf(text, "%lld", (long long)s_integer(w, type));
    }
}

static void s_add_list(world_t *w, buf_t *text)
{
    uint64_t n = rng_below(&w->rng, rng_below(&w->rng, 5) ? 4 : 200);
    buf_add_str(text, "[");
    for (uint64_t i = 0; i < n; i++) {
        buf_add_str(text, i ? ", " : "");
        s_add_constant(w, text);
    }
    buf_add_str(text, "]");
}

static void s_add_pattern(world_t *w, buf_t *text)
{
    static const char *const patterns[] = {
        "ab%%", "%%", "", "a", "common prefix %%", "com%%", "common prefix a_%%", "%%z\\\\_\\\\%%",
        "%%ab%%", "_%%", "a_", "%%\xc3\xa9%%a", "aba%%", "zz%%", "\xc3%%", "ab_%%%%z%%",
    };
    buf_addf(text, "x like \"");
    buf_addf(text, patterns[rng_below(&w->rng, ARRAY_LEN(patterns))]);
    buf_add_str(text, "\"");
}

static void s_add_predicate(world_t *w, buf_t *text)
{
    static const char *const ops[] = { "==", "!=", "<", "<=", ">", ">=" };
    bool array = w->fields[1].type == TYPE_ARRAY, whether = s_value_type(w) == TYPE_BOOL;
    uint64_t pick = rng_below(&w->rng, 10);
    if (pick == 0) {
        buf_add_str(text, rng_below(&w->rng, 2) ? "x is null" : "x is not null");
    } else if (array) {
        const char *name = pick < 4 ? "array_contains" : pick < 7 ? "array_contains_any"
                                                                 : "array_contains_all";
        buf_addf(text, "%s(x, ", name);
        if (pick < 4)
            s_add_constant(w, text);
        else
            s_add_list(w, text);
        buf_add_str(text, ")");
    } else if (pick < 3) {
        buf_add_str(text, rng_below(&w->rng, 2) ? "x in " : "x not in ");
        s_add_list(w, text);
    } else if (pick < 5 && s_value_type(w) == TYPE_VARCHAR) {
        s_add_pattern(w, text);
    } else {
        buf_addf(text, "x %s ", ops[rng_below(&w->rng, whether ? 2 : 6)]);
        s_add_constant(w, text);
    }
}

static void s_filter(world_t *w, buf_t *text)
{
    s_add_predicate(w, text);
    for (uint64_t n = rng_below(&w->rng, 3); n > 0; n--) {
        buf_add_str(text, rng_below(&w->rng, 2) ? " and " : " or ");
        buf_add_str(text, rng_below(&w->rng, 3) ? "(" : "not (");
        s_add_predicate(w, text);
        buf_add_str(text, ")");
    }
}

/* --- answers ------------------------------------------------------------------------------ */

/* Both ways, on rows from `first` on. */
static void s_compare(world_t *w, const scalar_data_t *data, const char *text)
{
    owned(expr) plan = NULL;
    size_t n = w->column[0].n, first = n > 640 ? 640 : 0;
    column_t part[2] = { column_slice(&w->column[0], first, n - first),
                         column_slice(&w->column[1], first, n - first) };
    const column_t *const columns[2] = { &part[0], &part[1] };
    bitset_t want, got;
    if (expr_parse(&w->ctx, view_str(text), w->schema, NULL, 0, &plan) != OK)
        fail_msg("%s: %s", text, w->ctx.text);
    assert_int_equal(bitset_init(&w->ctx, &want, n - first), OK);
    assert_int_equal(bitset_init(&w->ctx, &got, n - first), OK);
    assert_int_equal(expr_eval(&w->ctx, plan, columns, n - first, &want), OK);
    assert_true(scalar_data_eval(data, &w->ctx, plan, columns, first, &got) > 0);
    for (size_t i = 0; i < n - first; i++)
        if (bitset_has(&want, i) != bitset_has(&got, i))
            fail_msg("%s index of %s, about %llu values, row %zu: %s", scalar_type_name(w->type),
                     type_name(w->fields[1].type), (unsigned long long)w->spread, first + i, text);
    bitset_fini(&want);
    bitset_fini(&got);
}

/* An index of the field, of exactly this type. */
static void s_index(world_t *w, scalar_data_t *data, size_t parts)
{
    *data = (scalar_data_t){ .n = 2 };
    if (scalar_data_build(&w->ctx, w->type, &w->column[1], parts, 7, &data->objects[1]) ||
        scalar_data_open(&w->ctx, buf_view(&data->objects[1]), &data->memory[1],
                         &data->indexes[1]))
        fail_msg("%s", w->ctx.text);
}

static void s_check_kind(size_t kind, uint64_t spread, size_t n, double nulls, uint64_t seed)
{
    world_t w;
    scalar_data_t data;
    s_init(&w, kind, spread, n, nulls, seed);
    s_index(&w, &data, 1 + seed % 3);
    for (size_t i = 0; i < FILTERS; i++) {
        buf_scoped text = {0};
        s_filter(&w, &text);
        s_compare(&w, &data, buf_str(&text));
    }
    scalar_data_fini(&data);
    s_fini(&w);
}

static void answers_are_those_of_a_scan(void **state)
{
    (void)state;
    uint64_t seed = getenv("SCALAR_SEED") ? strtoull(getenv("SCALAR_SEED"), NULL, 10) : 1;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++)
        for (size_t s = 0; s < ARRAY_LEN(s_spreads); s++, seed++)
            s_check_kind(kind, s_spreads[s], s % 2 ? ROWS : ROWS / 10, seed % 2 ? 0.2 : 0, seed);
}

/* More than one chunk of a bitmap, dense and sparse ones, lists longer than their heads. */
static void long_segments_too(void **state)
{
    (void)state;
    static const size_t kinds[] = { 4, 5, 13, 14 };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (size_t s = 1; s < 4; s++)
            s_check_kind(kinds[i], s_spreads[s], MANY_ROWS, i % 2 ? 0.1 : 0, 90 + i);
}

/* No rows, one, only nulls. */
static void odd_segments_too(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        s_check_kind(kind, 5, 0, 0, kind);
        s_check_kind(kind, 5, 1, 0, kind);
        s_check_kind(kind, 5, 70, 1, kind);
    }
}

/* --- estimates ------------------------------------------------------------------------------ */

static void ranges_are_counted_exactly(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        world_t w;
        scalar_data_t data;
        if (s_kinds[kind].cells == TYPE_ARRAY || s_kinds[kind].cells == TYPE_BOOL)
            continue;
        s_init(&w, kind, 400, ROWS, 0.1, kind);
        s_index(&w, &data, 1);
        for (int i = 0; i < 20; i++) {
            owned(expr) plan = NULL;
            buf_scoped text = {0};
            bitset_t bits;
            expr_ask_t ask;
            scalar_work_t work;
            size_t at = 0;
            buf_add_str(&text, i % 3 == 0 ? "x == " : i % 3 == 1 ? "x >= " : "x != ");
            s_add_constant(&w, &text);
            assert_int_equal(expr_parse(&w.ctx, buf_view(&text), w.schema, NULL, 0, &plan), OK);
            assert_true(expr_next_ask(plan, &at, &ask));
            assert_true(scalar_index_estimate(data.indexes[1], &ask, &work));
            assert_int_equal(bitset_init(&w.ctx, &bits, ROWS), OK);
            assert_int_equal(scalar_index_answer(&w.ctx, data.indexes[1], &ask, &bits), OK);
            assert_int_equal(work.matches, bitset_count(&bits));
            bitset_fini(&bits);
        }
        scalar_data_fini(&data);
        s_fini(&w);
    }
}

/* --- bytes ---------------------------------------------------------------------------------- */

static void the_bytes_depend_on_the_rows_only(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        world_t w;
        buf_scoped a = {0}, b = {0}, c = {0};
        s_init(&w, kind, 50, 1000, 0.1, kind);
        assert_int_equal(scalar_data_build(&w.ctx, w.type, &w.column[1], 1, 7, &a), OK);
        assert_int_equal(scalar_data_build(&w.ctx, w.type, &w.column[1], 5, 7, &b), OK);
        assert_int_equal(scalar_data_build(&w.ctx, w.type, &w.column[1], 5, 8, &c), OK);
        assert_true(view_eq(buf_view(&a), buf_view(&b)));
        assert_false(view_eq(buf_view(&a), buf_view(&c)));
        s_fini(&w);
    }
}

static void s_is_corrupt(world_t *w, view_t object)
{
    scalar_index_t *index = NULL;
    void *memory = NULL;
    assert_int_equal(scalar_data_open(&w->ctx, object, &memory, &index), ERR_CORRUPT);
    assert_null(index);
    free(memory);
}

static void damage_is_an_error(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        world_t w;
        buf_scoped object = {0};
        s_init(&w, kind, 50, 200, 0.1, kind);
        assert_int_equal(scalar_data_build(&w.ctx, w.type, &w.column[1], 1, 7, &object), OK);
        for (size_t at = 0; at < object.len; at += 1 + at / 100) {
            object.ptr[at] ^= 0x10;
            s_is_corrupt(&w, buf_view(&object));
            object.ptr[at] ^= 0x10;
        }
        for (size_t len = 0; len < object.len; len += 1 + len / 10)
            s_is_corrupt(&w, view_of(object.ptr, len));
        buf_add_u64(&object, 0);
        s_is_corrupt(&w, buf_view(&object));
        s_fini(&w);
    }
}

static void s_seal(buf_t *object)
{
    store_u32(object->ptr + 56, crc32c(object->ptr + 64, object->len - 64));
    store_u32(object->ptr + 60, crc32c(object->ptr, 60));
}

/* Well sealed nonsense is refused, or asked without harm: under asan that is a test. */
static void sealed_nonsense_does_no_harm(void **state)
{
    (void)state;
    size_t refused = 0, tries = 0;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        world_t w;
        buf_scoped good = {0};
        s_init(&w, kind, kind % 2 ? 20 : 2000, 600, 0.1, kind);
        assert_int_equal(scalar_data_build(&w.ctx, w.type, &w.column[1], 1, 7, &good), OK);
        for (int i = 0; i < 150; i++, tries++) {
            scalar_data_t data = { .n = 2 };
            buf_scoped text = {0};
            buf_add_view(&data.objects[1], buf_view(&good));
            for (uint64_t n = 1 + rng_below(&w.rng, 3); n > 0; n--)
                data.objects[1].ptr[6 + rng_below(&w.rng, good.len - 6)] ^=
                    (uint8_t)(1u << rng_below(&w.rng, 8));
            s_seal(&data.objects[1]);
            s_filter(&w, &text);
            if (scalar_data_open(&w.ctx, buf_view(&data.objects[1]), &data.memory[1],
                                 &data.indexes[1]) != OK) {
                refused++;
            } else if (scalar_index_rows(data.indexes[1]) == 600 &&
                       scalar_index_spec(data.indexes[1])->cells == w.fields[1].type) {
                owned(expr) plan = NULL;
                bitset_t bits;
                assert_int_equal(bitset_init(&w.ctx, &bits, 600), OK);
                assert_int_equal(expr_parse(&w.ctx, buf_view(&text), w.schema, NULL, 0, &plan),
                                 OK);
                scalar_data_eval(&data, &w.ctx, plan, w.columns, 0, &bits);
                bitset_fini(&bits);
            }
            scalar_data_fini(&data);
        }
        s_fini(&w);
    }
    assert_true(refused > tries / 4);
}

static void newer_versions_are_told(void **state)
{
    (void)state;
    world_t w;
    buf_scoped object = {0};
    scalar_index_t *index = NULL;
    void *memory = NULL;
    s_init(&w, 0, 50, 200, 0.1, 1);
    assert_int_equal(scalar_data_build(&w.ctx, w.type, &w.column[1], 1, 7, &object), OK);
    object.ptr[4] = 2;
    s_seal(&object);
    assert_int_equal(scalar_data_open(&w.ctx, buf_view(&object), &memory, &index), ERR_VERSION);
    free(memory);
    s_fini(&w);
}

/* --- faults --------------------------------------------------------------------------------- */

static void every_fault_is_reported(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_LEN(s_kinds); kind++) {
        world_t w;
        s_init(&w, kind, 30, 300, 0.1, kind);
        for (int nth = 0; ; nth++) {
            buf_scoped object = {0};
            scalar_index_t *index = NULL;
            void *memory = NULL;
            ctx_clear(&w.ctx);
            fault_arm(nth);
            err_t err = scalar_data_build(&w.ctx, w.type, &w.column[1], 2, 7, &object);
            if (err == OK)
                err = scalar_data_open(&w.ctx, buf_view(&object), &memory, &index);
            bool fired = fault_disarm();
            scalar_index_destroy(&index);
            free(memory);
            assert_int_equal(err, fired ? ERR_MEMORY : OK);
            if (!fired)
                break;
        }
        s_fini(&w);
    }
}

static void answers_report_faults(void **state)
{
    (void)state;
    static const char *const texts[] = { "x like \"%b%\"", "x in [\"a\", \"ab\"]" };
    world_t w;
    scalar_data_t data;
    s_init(&w, ARRAY_LEN(s_kinds) - 1, 100, 300, 0.1, 1);
    s_index(&w, &data, 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (int nth = 0; ; nth++) {
            owned(expr) plan = NULL;
            expr_ask_t ask;
            bitset_t bits;
            size_t at = 0;
            assert_int_equal(expr_parse(&w.ctx, view_str(texts[i]), w.schema, NULL, 0, &plan), OK);
            assert_true(expr_next_ask(plan, &at, &ask));
            assert_int_equal(bitset_init(&w.ctx, &bits, 300), OK);
            fault_arm(nth);
            err_t err = scalar_index_answer(&w.ctx, data.indexes[1], &ask, &bits);
            bool fired = fault_disarm();
            bitset_fini(&bits);
            assert_int_equal(err, fired ? ERR_MEMORY : OK);
            if (!fired)
                break;
        }
    scalar_data_fini(&data);
    s_fini(&w);
}

static void a_build_can_be_cancelled(void **state)
{
    (void)state;
    world_t w;
    buf_scoped object = {0};
    s_init(&w, 9, 1000, 300, 0, 1);
    ctx_cancel(&w.ctx);
    assert_int_equal(scalar_data_build(&w.ctx, w.type, &w.column[1], 1, 7, &object), ERR_CANCELED);
    s_fini(&w);
}

/* --- limits --------------------------------------------------------------------------------- */

/* Its bitmaps stay short: of more values there are lists (scalar_int.h, byte 10). */
static void a_bitmap_of_many_values_has_lists(void **state)
{
    (void)state;
    for (int64_t n = 999; n <= 1001; n++) {
        field_t field = { .id = 101, .name = "x", .type = TYPE_INT64 };
        column_builder_t built;
        buf_scoped object = {0};
        ctx_t ctx;
        ctx_init(&ctx);
        column_builder_init(&built, &field);
        for (int64_t i = 0; i < n; i++)
            column_builder_add(&built, view_of(&i, sizeof i));
        column_t column = column_builder_view(&built);
        assert_int_equal(scalar_data_build(&ctx, SCALAR_BITMAP, &column, 1, 7, &object), OK);
        assert_int_equal(object.ptr[10], n <= 1000 ? 3 : 2);
        column_builder_fini(&built);
        ctx_fini(&ctx);
    }
}

static void names_and_fields(void **state)
{
    (void)state;
    scalar_type_t type = SCALAR_NONE;
    assert_true(scalar_type_parse("Trie", &type) && type == SCALAR_TRIE);
    assert_true(scalar_type_parse("TRIE", &type) && type == SCALAR_TRIE);
    assert_true(scalar_type_parse("AUTOINDEX", &type) && type == SCALAR_INVERTED);
    assert_true(scalar_type_parse("STL_SORT", &type) && type == SCALAR_SORT);
    assert_false(scalar_type_parse("trie", &type));
    assert_false(scalar_type_parse("HNSW", &type));
    assert_string_equal(scalar_type_name(SCALAR_BITMAP), "BITMAP");
    assert_false(scalar_type_fits(SCALAR_SORT, TYPE_VARCHAR, TYPE_NONE));
    assert_false(scalar_type_fits(SCALAR_TRIE, TYPE_INT64, TYPE_NONE));
    assert_false(scalar_type_fits(SCALAR_BITMAP, TYPE_FLOAT, TYPE_NONE));
    assert_false(scalar_type_fits(SCALAR_INVERTED, TYPE_JSON, TYPE_NONE));
    assert_false(scalar_type_fits(SCALAR_INVERTED, TYPE_FLOAT_VECTOR, TYPE_NONE));
    assert_true(scalar_type_fits(SCALAR_INVERTED, TYPE_ARRAY, TYPE_FLOAT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_a_scan),
        cmocka_unit_test(long_segments_too),
        cmocka_unit_test(odd_segments_too),
        cmocka_unit_test(ranges_are_counted_exactly),
        cmocka_unit_test(the_bytes_depend_on_the_rows_only),
        cmocka_unit_test(damage_is_an_error),
        cmocka_unit_test(sealed_nonsense_does_no_harm),
        cmocka_unit_test(newer_versions_are_told),
        cmocka_unit_test(every_fault_is_reported),
        cmocka_unit_test(answers_report_faults),
        cmocka_unit_test(a_build_can_be_cancelled),
        cmocka_unit_test(a_bitmap_of_many_values_has_lists),
        cmocka_unit_test(names_and_fields),
    };
    return cmocka_run_group_tests_name("scalar_index", tests, NULL, NULL);
}
