/* expr_kernel - loops over numbers, sixty-four rows to a word of bits
 *
 * Every comparison with a constant is a range of values, worked out when the
 * plan was made; so one loop per cell type serves them all, without a branch,
 * in a shape that compilers turn into vector instructions: sixty-four cells to
 * sixty-four bytes of 0 or 1, those to a word.
 */
#include <math.h>

#include "core/expr/expr_int.h"

enum { LANES = 64 };

static inline uint64_t s_pack(const uint8_t hit[LANES])
{
    uint64_t word = 0;
    for (int i = 0; i < LANES / 8; i++)         /* eight 0/1 bytes gather in the top byte */
        word |= (load_u64(hit + 8 * i) * 0x0102040810204080ull >> 56) << (8 * i);
    return word;
}

#define SPAN_LOOP(name, T) \
    static uint64_t name(const T *cells, T lo, T hi) \
    { \
        uint8_t hit[LANES]; \
        for (int i = 0; i < LANES; i++) \
            hit[i] = (uint8_t)((cells[i] >= lo) & (cells[i] <= hi)); \
        return s_pack(hit); \
    }

SPAN_LOOP(s_span_i8, int8_t)
SPAN_LOOP(s_span_i16, int16_t)
SPAN_LOOP(s_span_i32, int32_t)
SPAN_LOOP(s_span_i64, int64_t)
SPAN_LOOP(s_span_f32, float)
SPAN_LOOP(s_span_f64, double)

/* A word of cells, aligned, zero behind the column's end. */
typedef union lanes {
    int8_t i8[LANES];
    int16_t i16[LANES];
    int32_t i32[LANES];
    int64_t i64[LANES];
    float f32[LANES];
    double f64[LANES];
} lanes_t;

static const lanes_t *s_load(const column_t *c, size_t from, lanes_t *room)
{
    const uint8_t *cells = c->cells + from * c->width;
    size_t n = from < c->n ? c->n - from : 0;
    if (n >= LANES && (uintptr_t)cells % 8 == 0)
        return (const lanes_t *)(const void *)cells;
    n = n < LANES ? n : LANES;
    memset(room, 0, sizeof *room);
    if (n)
        memcpy(room, cells, n * c->width);
    return room;
}

static uint64_t s_tail(const column_t *c, size_t from)
{
    size_t n = from < c->n ? c->n - from : 0;
    return n >= LANES ? ~0ull : (1ull << n) - 1;
}

/* --- ranges ------------------------------------------------------------------------------- */

static int64_t s_type_min(type_t type)
{
    return type == TYPE_INT8 ? INT8_MIN : type == TYPE_INT16 ? INT16_MIN
         : type == TYPE_INT32 ? INT32_MIN : type == TYPE_BOOL ? 0 : INT64_MIN;
}

static int64_t s_type_max(type_t type)
{
    return type == TYPE_INT8 ? INT8_MAX : type == TYPE_INT16 ? INT16_MAX
         : type == TYPE_INT32 ? INT32_MAX : type == TYPE_BOOL ? 1 : INT64_MAX;
}

static uint64_t s_span_word(type_t type, const lanes_t *l, const span_t *s)
{
    if (type == TYPE_FLOAT)
        return s_span_f32(l->f32, (float)s->dlo, (float)s->dhi);
    if (type == TYPE_DOUBLE)
        return s_span_f64(l->f64, s->dlo, s->dhi);
    int64_t least = s_type_min(type), most = s_type_max(type);
    int64_t lo = s->lo > least ? s->lo : least, hi = s->hi < most ? s->hi : most;
    if (lo > hi)
        return 0;
    if (type == TYPE_INT8 || type == TYPE_BOOL)
        return s_span_i8(l->i8, (int8_t)lo, (int8_t)hi);
    if (type == TYPE_INT16)
        return s_span_i16(l->i16, (int16_t)lo, (int16_t)hi);
    if (type == TYPE_INT32)
        return s_span_i32(l->i32, (int32_t)lo, (int32_t)hi);
    return s_span_i64(l->i64, lo, hi);
}

/* --- arithmetic --------------------------------------------------------------------------- */

static int64_t s_int_arith(tok_t op, int64_t a, int64_t b)
{
    switch ((int)op) {
    case TOK_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case TOK_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case TOK_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case TOK_DIV:
        return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
    default:
        return b == -1 ? 0 : a % b;
    }
}

static double s_double_arith(tok_t op, double a, double b)
{
    switch ((int)op) {
    case TOK_ADD:
        return a + b;
    case TOK_SUB:
        return a - b;
    case TOK_MUL:
        return a * b;
    default:
        return a / b;
    }
}

bool expr_arith(tok_t op, const expr_value_t *a, const expr_value_t *b, expr_value_t *ret)
{
    if (!value_is_number(a) || !value_is_number(b))
        return false;
    if (a->kind == EXPR_INT && b->kind == EXPR_INT) {
        if (b->i == 0 && (op == TOK_DIV || op == TOK_MOD))
            return false;
        *ret = (expr_value_t){ .kind = EXPR_INT, .i = s_int_arith(op, a->i, b->i) };
        return true;
    }
    double x = a->kind == EXPR_INT ? (double)a->i : a->d;
    double y = b->kind == EXPR_INT ? (double)b->i : b->d;
    if (op == TOK_MOD) {                        /* of the whole parts */
        if (!(fabs(x) < 0x1p63) || !(fabs(y) < 0x1p63) || (int64_t)y == 0)
            return false;
        *ret = (expr_value_t){ .kind = EXPR_INT, .i = s_int_arith(op, (int64_t)x, (int64_t)y) };
        return true;
    }
    if (op == TOK_DIV && y == 0)
        return false;
    *ret = (expr_value_t){ .kind = EXPR_DOUBLE, .d = s_double_arith(op, x, y) };
    return true;
}

/* Cells as int64, whatever their width. */
static void s_widen(type_t type, const lanes_t *l, int64_t *to)
{
    for (int i = 0; i < LANES; i++)
        to[i] = type == TYPE_INT8 || type == TYPE_BOOL ? l->i8[i] : type == TYPE_INT16 ? l->i16[i]
              : type == TYPE_INT32 ? l->i32[i] : l->i64[i];
}

static uint64_t s_arith_word(const leaf_t *leaf, type_t type, const lanes_t *l)
{
    lanes_t done;
    tok_t op = leaf->arith;
    if (type == TYPE_FLOAT) {                   /* in the cell's own precision */
        float by = (float)leaf->operand.d;
        for (int i = 0; i < LANES; i++)
            done.f32[i] = op == TOK_ADD ? l->f32[i] + by : op == TOK_SUB ? l->f32[i] - by
                        : op == TOK_MUL ? l->f32[i] * by : l->f32[i] / by;
    } else if (type == TYPE_DOUBLE) {
        for (int i = 0; i < LANES; i++)
            done.f64[i] = s_double_arith(op, l->f64[i], leaf->operand.d);
    } else {
        s_widen(type, l, done.i64);
        for (int i = 0; i < LANES; i++)
            done.i64[i] = s_int_arith(op, done.i64[i], leaf->operand.i);
        type = TYPE_INT64;
    }
    return s_span_word(type, &done, &leaf->span);
}

void expr_span_bits(const leaf_t *leaf, const column_t *column, size_t from, size_t n_words,
                    uint64_t *bits)
{
    lanes_t room;
    for (size_t w = 0; w < n_words; w++, from += LANES) {
        const lanes_t *l = s_load(column, from, &room);
        uint64_t word = leaf->span.empty ? 0
                      : leaf->arith == TOK_END ? s_span_word(column->type, l, &leaf->span)
                                               : s_arith_word(leaf, column->type, l);
        bits[w] = (leaf->span.negate ? ~word : word) & s_tail(column, from);
    }
}

/* --- lists -------------------------------------------------------------------------------- */

static uint64_t s_term_word(const set_t *set, type_t type, const lanes_t *l)
{
    uint64_t word = 0;
    int64_t wide[LANES];
    bool real = type == TYPE_FLOAT || type == TYPE_DOUBLE;
    if (!real)
        s_widen(type, l, wide);
    for (int i = 0; i < LANES; i++) {
        int64_t at = type == TYPE_FLOAT ? set_find_double(set, (double)l->f32[i])
                   : type == TYPE_DOUBLE ? set_find_double(set, l->f64[i])
                   : type == TYPE_BOOL ? set_find_bool(set, l->i8[i] != 0)
                                       : set_find_int(set, wide[i]);
        word |= (uint64_t)(at >= 0) << i;
    }
    return word;
}

void expr_term_bits(const leaf_t *leaf, const column_t *column, size_t from, size_t n_words,
                    uint64_t *bits)
{
    lanes_t room;
    for (size_t w = 0; w < n_words; w++, from += LANES)
        bits[w] = s_term_word(&leaf->set, column->type, s_load(column, from, &room)) &
                  s_tail(column, from);
}

/* --- two fields --------------------------------------------------------------------------- */

static void s_as_double(type_t type, const lanes_t *l, double *to)
{
    int64_t wide[LANES];
    if (type != TYPE_FLOAT && type != TYPE_DOUBLE)
        s_widen(type, l, wide);
    for (int i = 0; i < LANES; i++)
        to[i] = type == TYPE_FLOAT ? (double)l->f32[i] : type == TYPE_DOUBLE ? l->f64[i]
              : (double)wide[i];
}

#define COMPARE_LOOP(name, T) \
    static uint64_t name(tok_t op, const T *a, const T *b) \
    { \
        uint8_t less[LANES], equal[LANES]; \
        for (int i = 0; i < LANES; i++) { \
            less[i] = (uint8_t)(a[i] < b[i]); \
            equal[i] = (uint8_t)(a[i] == b[i]); \
        } \
        uint64_t lt = s_pack(less), eq = s_pack(equal); \
        return op == TOK_LT ? lt : op == TOK_LE ? lt | eq : op == TOK_EQ ? eq \
             : op == TOK_NE ? ~eq : op == TOK_GE ? ~lt : ~(lt | eq); \
    }

COMPARE_LOOP(s_compare_int, int64_t)
COMPARE_LOOP(s_compare_double, double)

static bool s_is_real(const column_t *c)
{
    return c->type == TYPE_FLOAT || c->type == TYPE_DOUBLE;
}

void expr_fields_bits(const leaf_t *leaf, const column_t *left, const column_t *right, size_t from,
                      size_t n_words, uint64_t *bits)
{
    lanes_t room[2], a, b;
    bool real = s_is_real(left) || s_is_real(right);
    for (size_t w = 0; w < n_words; w++, from += LANES) {
        const lanes_t *l = s_load(left, from, &room[0]), *r = s_load(right, from, &room[1]);
        uint64_t word;
        if (real) {
            s_as_double(left->type, l, a.f64);
            s_as_double(right->type, r, b.f64);
            word = s_compare_double(leaf->op, a.f64, b.f64);
        } else {
            s_widen(left->type, l, a.i64);
            s_widen(right->type, r, b.i64);
            word = s_compare_int(leaf->op, a.i64, b.i64);
        }
        bits[w] = word & s_tail(left, from);
    }
}
