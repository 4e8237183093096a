/* fuzz_scalar - bytes as the object of a scalar index, with and without good checksums
 *
 *     1 byte      1: make the checksums right first, so that what lies behind them is reached
 *     ..          the object
 *
 * Promises: what is taken can be asked whatever fits its type; what is refused is damaged, of
 * another version, or too much memory, with a text.
 */
#include <math.h>

#include "core/base/crc.h"
#include "core/expr/like.h"
#include "core/scalar/scalar_index.h"
#include "tests/support/replay.h"

enum { BUDGET_BYTES = 8 << 20, HEAD_BYTES = 64, MOST_ROWS = 1 << 20 };

static void s_seal(uint8_t *object, size_t len)
{
    if (len < HEAD_BYTES)
        return;
    store_u64(object + 16, len);
    store_u32(object + 56, crc32c(object + HEAD_BYTES, len - HEAD_BYTES));
    store_u32(object + 60, crc32c(object, 60));
}

static void s_ask(ctx_t *ctx, const scalar_index_t *index, expr_ask_t ask)
{
    scalar_work_t work;
    for (int negate = 0; negate < 2; negate++) {
        bitset_t bits = {0};
        ask.negate = negate;
        if (!scalar_index_estimate(index, &ask, &work) ||
            bitset_init(ctx, &bits, scalar_index_rows(index)) != OK)
            return;
        err_t err = scalar_index_answer(ctx, index, &ask, &bits);
        check(err == OK || err == ERR_MEMORY);
        size_t last = bits.n_bits % 64;
        check(last == 0 || bits.words[bits.n_bits / 64] >> last == 0);
        bitset_fini(&bits);
    }
}

static void s_ask_patterns(ctx_t *ctx, const scalar_index_t *index)
{
    static const char *const patterns[] = { "a%", "%b", "%a%", "a_%b", "a", "%" };
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        like_t like;
        if (like_compile(ctx, view_str(patterns[i]), &like) == OK)
            s_ask(ctx, index, (expr_ask_t){ .kind = EXPR_ASK_LIKE, .like = &like });
    }
}

/* Asks that the type of the index may get. */
static void s_taken(ctx_t *ctx, const scalar_index_t *index)
{
    static const int64_t ints[] = { -1, 0, 3, 1000 };
    static const double doubles[] = { -0.5, 2.25 };
    static const view_t strings[] = { { NULL, 0 }, { (const uint8_t *)"a", 1 },
                                      { (const uint8_t *)"ab", 2 } };
    const scalar_spec_t *spec = scalar_index_spec(index);
    bool array = spec->cells == TYPE_ARRAY;
    type_t type = array ? spec->element : spec->cells;
    bool text = type == TYPE_VARCHAR, real = type == TYPE_FLOAT || type == TYPE_DOUBLE;
    expr_ask_set_t set = { .has = { type == TYPE_BOOL, false } };
    if (text) {
        set.strings = strings;
        set.n_strings = ARRAY_LEN(strings);
    } else if (type != TYPE_BOOL) {
        set.ints = ints;
        set.doubles = doubles;
        set.n_ints = ARRAY_LEN(ints);
        set.n_doubles = real ? ARRAY_LEN(doubles) : 0;
    }
    s_ask(ctx, index, (expr_ask_t){ .kind = EXPR_ASK_NULL });
    s_ask(ctx, index, (expr_ask_t){ .kind = array ? EXPR_ASK_ANY : EXPR_ASK_IN, .set = set });
    if (array) {
        s_ask(ctx, index, (expr_ask_t){ .kind = EXPR_ASK_ALL, .set = set });
    } else if (text) {
        s_ask(ctx, index, (expr_ask_t){ .kind = EXPR_ASK_TEXT, .has_low = true, .low_open = true,
                                        .low_text = strings[1] });
        s_ask(ctx, index, (expr_ask_t){ .kind = EXPR_ASK_TEXT, .has_high = true,
                                        .high_text = strings[2] });
        s_ask_patterns(ctx, index);
    } else {
        s_ask(ctx, index, (expr_ask_t){ .kind = EXPR_ASK_SPAN, .low_int = 0, .high_int = 50,
                                        .low = 0, .high = 12.5 });
        s_ask(ctx, index, (expr_ask_t){ .kind = EXPR_ASK_SPAN, .low_int = INT64_MIN,
                                        .high_int = INT64_MAX, .low = -INFINITY,
                                        .high = INFINITY });
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    ctx_t ctx;
    scalar_index_t *index = NULL;
    uint8_t *object = mem_new(size);            /* aligned, and ours to seal */
    memcpy(object, data + 1, size - 1);
    ctx_init(&ctx);
    ctx.budget_bytes = BUDGET_BYTES;
    if (data[0] & 1)
        s_seal(object, size - 1);
    err_t err = scalar_index_open(&ctx, "fuzz", view_of(object, size - 1), &index);
    check((err == OK) == (index != NULL));
    if (err != OK)
        check((err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_MEMORY) && ctx.text[0]);
    else if (scalar_index_rows(index) <= MOST_ROWS)
        s_taken(&ctx, index);
    scalar_index_destroy(&index);
    mem_free(object);
    ctx_fini(&ctx);
    return 0;
}
