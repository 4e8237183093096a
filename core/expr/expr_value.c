/* expr_value - constants: their order, their text, and sets of them
 *
 * A set answers membership for `in` and the contains family.  Up to eight
 * constants are looked through; more are hashed with open addressing into a
 * table that is at most half full.  A client may choose constants that crowd
 * one place of the table: a build that sees a long run drops the table, and
 * lookups halve the sorted array instead.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "core/base/limits.h"
#include "core/expr/expr_int.h"

enum { LINEAR_MOST = 8, RUN_MOST = 64 };

/* --- order ------------------------------------------------------------------------------- */

static int s_cmp_int_double(int64_t i, double d)
{
    if (d >= 0x1p63)
        return -1;
    if (d < -0x1p63)
        return 1;
    int64_t whole = (int64_t)d;
    if (i != whole)
        return i < whole ? -1 : 1;
    double rest = d - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

int value_cmp_number(const expr_value_t *a, const expr_value_t *b)
{
    if (a->kind == EXPR_INT && b->kind == EXPR_INT)
        return (a->i > b->i) - (a->i < b->i);
    if (a->kind == EXPR_INT)
        return s_cmp_int_double(a->i, b->d);
    if (b->kind == EXPR_INT)
        return -s_cmp_int_double(b->i, a->d);
    return (a->d > b->d) - (a->d < b->d);
}

bool value_cmp(const expr_value_t *a, const expr_value_t *b, int *ret)
{
    if (value_is_number(a) && value_is_number(b))
        *ret = value_cmp_number(a, b);
    else if (a->kind == EXPR_STRING && b->kind == EXPR_STRING)
        *ret = view_cmp(a->s, b->s);
    else if (a->kind == EXPR_BOOL && b->kind == EXPR_BOOL)
        *ret = a->b - b->b;
    else
        return false;
    return true;
}

/* --- text -------------------------------------------------------------------------------- */

const char *value_show(const expr_value_t *value, char room[EXPR_SHOWN_BYTES])
{
    switch (value->kind) {
    case EXPR_BOOL:
        snprintf(room, EXPR_SHOWN_BYTES, "bool_val:%s", value->b ? "true" : "false");
        break;
    case EXPR_INT:
        snprintf(room, EXPR_SHOWN_BYTES, "int64_val:%lld", (long long)value->i);
        break;
    case EXPR_DOUBLE:
        snprintf(room, EXPR_SHOWN_BYTES, "float_val:%.17g", value->d);
        for (int digits = 1; digits < 17 && strtod(room + 10, NULL) != value->d; digits++)
            snprintf(room, EXPR_SHOWN_BYTES, "float_val:%.*g", digits, value->d);
        break;
    case EXPR_STRING:
        snprintf(room, EXPR_SHOWN_BYTES, "string_val:\"%.*s\"",
                 (int)(value->s.len < 200 ? value->s.len : 200), (const char *)value->s.ptr);
        break;
    case EXPR_ARRAY:
        snprintf(room, EXPR_SHOWN_BYTES, "array_val:{%zu elements}", value->list.n);
        break;
    case EXPR_NONE:
        room[0] = '\0';
        break;
    }
    return room;
}

/* --- building sets ------------------------------------------------------------------------ */

static int s_by_int(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int s_by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int s_by_view(const void *a, const void *b)
{
    return view_cmp(*(const view_t *)a, *(const view_t *)b);
}

typedef int order_fn(const void *, const void *);

/* Sort and drop repeats; returns how many stay. */
static size_t s_tidy(void *at, size_t n, size_t bytes, order_fn *order)
{
    uint8_t *p = at;
    size_t kept = 0;
    if (n > 1)
        qsort(at, n, bytes, order);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && order(p + (kept - 1) * bytes, p + i * bytes) == 0)
            continue;
        if (kept != i)
            memcpy(p + kept * bytes, p + i * bytes, bytes);
        kept++;
    }
    return kept;
}

static uint64_t s_hash_int(int64_t value)
{
    uint64_t x = (uint64_t)value;               /* splitmix64's finish */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t s_hash_string(view_t value)
{
    return XXH3_64bits(value.ptr, value.len);
}

static err_t s_slots(ctx_t *ctx, size_t n, uint32_t **ret, size_t *ret_mask)
{
    size_t cap = 16;
    while (cap < 2 * n)
        cap *= 2;
    *ret = ctx_try(ctx, cap * sizeof **ret);
    *ret_mask = cap - 1;
    return *ret ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for a list of %zu constants", n);
}

/* False when the place is crowded. */
static bool s_put(uint32_t *slots, size_t mask, uint64_t hash, size_t index)
{
    for (size_t run = 0; run < RUN_MOST; run++) {
        uint32_t *slot = &slots[(hash + run) & mask];
        if (*slot == 0) {
            *slot = (uint32_t)index + 1;
            return true;
        }
    }
    return false;
}

static err_t s_hash(ctx_t *ctx, set_t *set)
{
    if (set->n_ints > LINEAR_MOST) {
        TRY(s_slots(ctx, set->n_ints, &set->int_slots, &set->int_mask));
        for (size_t i = 0; set->int_slots && i < set->n_ints; i++)
            if (!s_put(set->int_slots, set->int_mask, s_hash_int(set->ints[i]), i))
                set->int_slots = NULL;
    }
    if (set->n_strings > LINEAR_MOST) {
        TRY(s_slots(ctx, set->n_strings, &set->string_slots, &set->string_mask));
        for (size_t i = 0; set->string_slots && i < set->n_strings; i++)
            if (!s_put(set->string_slots, set->string_mask, s_hash_string(set->strings[i]), i))
                set->string_slots = NULL;
    }
    return OK;
}

static bool s_whole(double d, int64_t *ret)
{
    if (!(d >= -0x1p63 && d < 0x1p63) || d != floor(d))
        return false;
    *ret = (int64_t)d;
    return true;
}

/* Two lists being compared, at element i. */
typedef struct pair {
    const expr_value_t *a, *b;
    size_t i;
} pair_t;

static bool s_same_list(const expr_value_t *a, const expr_value_t *b)
{
    pair_t pairs[LIMIT_EXPR_LIST_DEPTH + 1];
    size_t n = 0;
    pairs[n++] = (pair_t){ a, b, 0 };
    while (n > 0) {
        pair_t *top = &pairs[n - 1];
        if (top->a->list.n != top->b->list.n)
            return false;
        if (top->i == top->a->list.n) {
            n--;
            continue;
        }
        const expr_value_t *x = &top->a->list.at[top->i], *y = &top->b->list.at[top->i];
        int order = 0;
        top->i++;
        if (x->kind == EXPR_ARRAY && y->kind == EXPR_ARRAY && n <= LIMIT_EXPR_LIST_DEPTH)
            pairs[n++] = (pair_t){ x, y, 0 };
        else if (!value_cmp(x, y, &order) || order != 0)
            return false;
    }
    return true;
}

static bool s_has_list(const set_t *set, const expr_value_t *list)
{
    for (size_t i = 0; i < set->n_lists; i++)
        if (s_same_list(set->lists[i], list))
            return true;
    return false;
}

static void s_add(set_t *set, const expr_value_t *value)
{
    int64_t whole;
    switch (value->kind) {
    case EXPR_BOOL:
        set->has[value->b] = true;
        break;
    case EXPR_INT:
        set->ints[set->n_ints++] = value->i;
        break;
    case EXPR_DOUBLE:
        if (s_whole(value->d, &whole))
            set->ints[set->n_ints++] = whole;
        else
            set->doubles[set->n_doubles++] = value->d;
        break;
    case EXPR_STRING:
        set->strings[set->n_strings++] = value->s;
        break;
    case EXPR_ARRAY:
        if (!s_has_list(set, value))
            set->lists[set->n_lists++] = value;
        break;
    case EXPR_NONE:
        break;
    }
}

/* Room for as many as there are of each kind. */
static err_t s_room(ctx_t *ctx, const expr_value_t *values, size_t n, set_t *set)
{
    size_t count[EXPR_ARRAY + 1] = {0};
    for (size_t i = 0; i < n; i++)
        count[values[i].kind]++;
    if (count[EXPR_ARRAY] > LIMIT_EXPR_LISTS)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "a list holds more than %d lists",
                        LIMIT_EXPR_LISTS);
    size_t numbers = count[EXPR_INT] + count[EXPR_DOUBLE];
    set->ints = ctx_try(ctx, numbers * sizeof *set->ints);
    set->doubles = ctx_try(ctx, count[EXPR_DOUBLE] * sizeof *set->doubles);
    set->strings = ctx_try(ctx, count[EXPR_STRING] * sizeof *set->strings);
    set->lists = ctx_try(ctx, count[EXPR_ARRAY] * sizeof *set->lists);
    if (!set->ints || !set->doubles || !set->strings || !set->lists)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for a list of %zu constants", n);
    return OK;
}

err_t set_build(ctx_t *ctx, const expr_value_t *values, size_t n, set_t *ret)
{
    set_t set = {0};
    TRY(s_room(ctx, values, n, &set));
    for (size_t i = 0; i < n; i++)
        s_add(&set, &values[i]);
    set.n_ints = s_tidy(set.ints, set.n_ints, sizeof *set.ints, s_by_int);
    set.n_doubles = s_tidy(set.doubles, set.n_doubles, sizeof *set.doubles, s_by_double);
    set.n_strings = s_tidy(set.strings, set.n_strings, sizeof *set.strings, s_by_view);
    TRY(s_hash(ctx, &set));
    set.n = set.n_ints + set.n_doubles + set.n_strings + 2 + set.n_lists;
    *ret = set;
    return OK;
}

/* --- finding ------------------------------------------------------------------------------ */

static int64_t s_find(const void *at, size_t n, size_t bytes, const void *key, order_fn *order)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int by = order(key, (const uint8_t *)at + mid * bytes);
        if (by == 0)
            return (int64_t)mid;
        if (by < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return -1;
}

int64_t set_find_int(const set_t *set, int64_t value)
{
    if (set->n_ints <= LINEAR_MOST) {
        for (size_t i = 0; i < set->n_ints; i++)
            if (set->ints[i] == value)
                return (int64_t)i;
        return -1;
    }
    if (!set->int_slots)
        return s_find(set->ints, set->n_ints, sizeof value, &value, s_by_int);
    for (uint64_t at = s_hash_int(value); ; at++) {
        uint32_t slot = set->int_slots[at & set->int_mask];
        if (slot == 0 || set->ints[slot - 1] == value)
            return (int64_t)slot - 1;
    }
}

int64_t set_find_double(const set_t *set, double value)
{
    int64_t whole;
    if (s_whole(value, &whole))
        return set_find_int(set, whole);
    int64_t at = s_find(set->doubles, set->n_doubles, sizeof value, &value, s_by_double);
    return at < 0 || isnan(value) ? -1 : (int64_t)set->n_ints + at;
}

static int64_t s_find_string(const set_t *set, view_t value)
{
    if (!set->string_slots)
        return s_find(set->strings, set->n_strings, sizeof value, &value, s_by_view);
    for (uint64_t at = s_hash_string(value); ; at++) {
        uint32_t slot = set->string_slots[at & set->string_mask];
        if (slot == 0 || view_eq(set->strings[slot - 1], value))
            return (int64_t)slot - 1;
    }
}

int64_t set_find_string(const set_t *set, view_t value)
{
    int64_t at = s_find_string(set, value);
    return at < 0 ? -1 : (int64_t)(set->n_ints + set->n_doubles) + at;
}

int64_t set_find_bool(const set_t *set, bool value)
{
    return set->has[value] ? (int64_t)(set->n_ints + set->n_doubles + set->n_strings) + value : -1;
}
