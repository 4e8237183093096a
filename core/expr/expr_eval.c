/* expr_eval - a plan over columns
 *
 * Rows go through the whole program in blocks of 4096, so that what is held
 * between two steps (two words of bits per 64 rows: true, and null) stays in
 * the first-level cache.  The state per operand:
 *
 *     truth  1: the predicate holds        null   1: neither, for want of a value
 *
 * Before the right side of an `and`, rows that the left side has made false
 * are struck from `care`; of an `or`, rows that it has made true.  Leaves that
 * must look into text (JSON, arrays, strings) visit only the rows cared for,
 * and a right side that no row cares for is jumped over.  What a leaf says of
 * other rows does not matter: the `and` or `or` above overrules it.
 *
 * Not a row at a time through a tree: a comparison of integers then costs ten
 * times as much.  Not a whole column at a time: ten million rows would drag
 * megabytes of bits through memory at every step.
 */
#include "core/base/limits.h"
#include "core/expr/expr_int.h"

enum { BLOCK_WORDS = 64, BLOCK_ROWS = 64 * BLOCK_WORDS, ALIVE_BLOCKS = 16 };

typedef struct bits {
    uint64_t truth[BLOCK_WORDS], null[BLOCK_WORDS];
} bits_t;

typedef struct care {
    uint64_t word[BLOCK_WORDS];
} care_t;

typedef struct run {
    ctx_t *ctx;
    const expr_t *plan;
    const column_t *const *columns;
    const expr_answers_t *answers;      /* NULL: none */
    size_t from, n_words;       /* the block */
    bits_t *held;               /* [height] */
    care_t *care;               /* [height] */
    size_t n_held, n_care;
    buf_t scratch;
    uint32_t *found;            /* [most_found] the last stamp under which a constant was met */
    uint32_t stamp;             /* one for each look at a row by a contains_all */
} run_t;

/* --- what stands in a row ----------------------------------------------------------------- */

typedef struct cell {
    expr_value_t value;         /* NONE: no scalar */
    bool there;                 /* the path leads somewhere; the array is long enough */
    json_value_t json;          /* of a JSON field */
} cell_t;

static expr_value_t s_json_scalar(run_t *r, const json_value_t *json)
{
    expr_value_t v = {0};
    switch (json->kind) {
    case JSON_BOOL:
        return (expr_value_t){ .kind = EXPR_BOOL, .b = json->b };
    case JSON_INT:
        return (expr_value_t){ .kind = EXPR_INT, .i = json->i };
    case JSON_DOUBLE:
        return (expr_value_t){ .kind = EXPR_DOUBLE, .d = json->d };
    case JSON_STRING:
        if (jsonpath_string(json, &r->scratch, &v.s))
            v.kind = EXPR_STRING;
        break;
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return v;
}

/* A cell of a scalar type, or an element of an array. */
static expr_value_t s_scalar(type_t type, view_t bytes)
{
    float f;
    double d;
    switch ((int)type) {
    case TYPE_BOOL:
        return (expr_value_t){ .kind = EXPR_BOOL, .b = bytes.ptr[0] != 0 };
    case TYPE_INT8:
        return (expr_value_t){ .kind = EXPR_INT, .i = (int8_t)bytes.ptr[0] };
    case TYPE_INT16:
        return (expr_value_t){ .kind = EXPR_INT, .i = (int16_t)load_u16(bytes.ptr) };
    case TYPE_INT32:
        return (expr_value_t){ .kind = EXPR_INT, .i = (int32_t)load_u32(bytes.ptr) };
    case TYPE_INT64:
        return (expr_value_t){ .kind = EXPR_INT, .i = load_i64(bytes.ptr) };
    case TYPE_FLOAT:
        memcpy(&f, bytes.ptr, sizeof f);
        return (expr_value_t){ .kind = EXPR_DOUBLE, .d = (double)f };
    case TYPE_DOUBLE:
        memcpy(&d, bytes.ptr, sizeof d);
        return (expr_value_t){ .kind = EXPR_DOUBLE, .d = d };
    case TYPE_VARCHAR:
        return (expr_value_t){ .kind = EXPR_STRING, .s = bytes };
    default:
        return (expr_value_t){0};
    }
}

static void s_fetch(run_t *r, const place_t *place, view_t bytes, cell_t *cell)
{
    *cell = (cell_t){0};
    if (place->type == TYPE_JSON) {
        cell->there = jsonpath_find(bytes, place->path, place->n_path, &r->scratch, &cell->json);
        if (cell->there)
            cell->value = s_json_scalar(r, &cell->json);
    } else if (place->type == TYPE_ARRAY) {
        view_t element;
        cell->there = array_at(bytes, place->element, place->index, &element);
        if (cell->there)
            cell->value = s_scalar(place->element, element);
    } else {
        cell->there = true;
        cell->value = s_scalar(place->type, bytes);
    }
}

/* --- lists -------------------------------------------------------------------------------- */

/* Elements of an Array cell one after the other. */
typedef struct walk {
    view_t cell;
    type_t element;
    size_t width, at;
    uint32_t left;
} walk_t;

static walk_t s_walk(view_t cell, type_t element)
{
    walk_t w = { .cell = cell, .element = element, .width = type_width(element, 0), .at = 4 };
    if (!array_len(cell, &w.left))
        w.left = 0;
    return w;
}

static bool s_walk_next(walk_t *w, expr_value_t *ret)
{
    size_t len = w->width, room = w->cell.len - w->at;
    if (w->left == 0)
        return false;
    w->left--;
    if (w->width == 0) {
        if (room < 4)
            return false;
        len = load_u32(w->cell.ptr + w->at);
        w->at += 4;
        room -= 4;
    }
    if (len > room)
        return false;
    *ret = s_scalar(w->element, view_of(w->cell.ptr + w->at, len));
    w->at += len;
    return true;
}

static bool s_same(const expr_value_t *a, const expr_value_t *b)
{
    int order;
    return value_cmp(a, b, &order) && order == 0;
}

static bool s_same_array(view_t cell, type_t element, const expr_value_t *list)
{
    walk_t w = s_walk(cell, element);
    if (cell.len < 4 || w.left != list->list.n)
        return false;
    for (size_t i = 0; i < list->list.n; i++) {
        expr_value_t value;
        if (!s_walk_next(&w, &value) || !s_same(&value, &list->list.at[i]))
            return false;
    }
    return true;
}

/* A list being compared with an array, and those it lies in. */
typedef struct level {
    view_t array;
    size_t at, i;
    const expr_value_t *list;
} level_t;

/* Element by element, lists in lists by a stack of the levels a constant may have. */
static bool s_same_json(run_t *r, view_t array, const expr_value_t *list)
{
    level_t levels[LIMIT_EXPR_LIST_DEPTH];
    size_t n = 0;
    levels[n++] = (level_t){ .array = array, .list = list };
    while (n > 0) {
        level_t *top = &levels[n - 1];
        json_value_t json;
        if (!jsonpath_next(top->array, &top->at, &json)) {
            if (top->i != top->list->list.n)
                return false;
            n--;
            continue;
        }
        if (top->i == top->list->list.n)
            return false;
        const expr_value_t *want = &top->list->list.at[top->i++];
        if (want->kind == EXPR_ARRAY) {
            if (json.kind != JSON_ARRAY || n == LIMIT_EXPR_LIST_DEPTH)
                return false;
            levels[n++] = (level_t){ .array = json.raw, .list = want };
            continue;
        }
        expr_value_t value = s_json_scalar(r, &json);
        if (!s_same(&value, want))
            return false;
    }
    return true;
}

static int64_t s_set_find(const set_t *set, const expr_value_t *v)
{
    switch (v->kind) {
    case EXPR_BOOL:
        return set_find_bool(set, v->b);
    case EXPR_INT:
        return set_find_int(set, v->i);
    case EXPR_DOUBLE:
        return set_find_double(set, v->d);
    case EXPR_STRING:
        return set_find_string(set, v->s);
    case EXPR_NONE:
    case EXPR_ARRAY:
        break;
    }
    return -1;
}

static int64_t s_set_find_json(run_t *r, const set_t *set, const json_value_t *json)
{
    if (json->kind == JSON_ARRAY) {
        for (size_t i = 0; i < set->n_lists; i++)
            if (s_same_json(r, json->raw, set->lists[i]))
                return set_first_list(set) + (int64_t)i;
        return -1;
    }
    expr_value_t v = s_json_scalar(r, json);
    return s_set_find(set, &v);
}

/* How many constants; set->n counts false and true even where they are not in it. */
static size_t s_set_size(const set_t *set)
{
    return set->n_ints + set->n_doubles + set->n_strings + set->has[0] + set->has[1] +
           set->n_lists;
}

/* --- tests of one row --------------------------------------------------------------------- */

static size_t s_length(const place_t *place, view_t bytes, const cell_t *cell)
{
    uint32_t n = 0;
    size_t count = 0;
    json_value_t json;
    if (place->type == TYPE_ARRAY)
        return array_len(bytes, &n) ? n : 0;
    if (cell->there && cell->json.kind == JSON_ARRAY)
        for (size_t at = 0; jsonpath_next(cell->json.raw, &at, &json); )
            count++;
    return count;
}

/* A JSON value of another kind is unequal to the constant; an array element that is
 * not there is nothing, not even unequal. */
static bool s_test_compare(run_t *r, const leaf_t *leaf, view_t bytes)
{
    const place_t *place = &leaf->place;
    bool json = place->type == TYPE_JSON, unequal = leaf->op == TOK_NE && json;
    cell_t cell = {0};
    int order = 0;
    if (place->type == TYPE_ARRAY && place->n_path == 0 && leaf->arith != TOK_LENGTH)
        return s_same_array(bytes, place->element, &leaf->low) == (leaf->op == TOK_EQ);
    if (json || leaf->arith != TOK_LENGTH)
        s_fetch(r, place, bytes, &cell);
    expr_value_t value = cell.value;
    if (leaf->arith == TOK_LENGTH)
        value = (expr_value_t){ .kind = EXPR_INT, .i = (int64_t)s_length(place, bytes, &cell) };
    else if (leaf->arith != TOK_END &&
             !expr_arith(leaf->arith, &cell.value, &leaf->operand, &value))
        return unequal;
    if (leaf->arith != TOK_END && place->element == TYPE_FLOAT && value.kind == EXPR_DOUBLE)
        value.d = (double)(float)value.d;       /* as on a field of that type */
    if (leaf->low.kind == EXPR_ARRAY) {
        bool equal = cell.there && cell.json.kind == JSON_ARRAY &&
                     s_same_json(r, cell.json.raw, &leaf->low);
        return leaf->op == TOK_EQ ? equal : leaf->op == TOK_NE && !equal;
    }
    return value_cmp(&value, &leaf->low, &order) ? expr_holds(leaf->op, order) : unequal;
}

static bool s_test_range(run_t *r, const leaf_t *leaf, view_t bytes)
{
    cell_t cell;
    int low, high;
    s_fetch(r, &leaf->place, bytes, &cell);
    return value_cmp(&cell.value, &leaf->low, &low) && value_cmp(&cell.value, &leaf->high, &high) &&
           (low > 0 || (low == 0 && !leaf->low_open)) &&
           (high < 0 || (high == 0 && !leaf->high_open));
}

static bool s_test_term(run_t *r, const leaf_t *leaf, view_t bytes)
{
    cell_t cell;
    s_fetch(r, &leaf->place, bytes, &cell);
    if (cell.there && leaf->place.type == TYPE_JSON && cell.json.kind == JSON_ARRAY)
        return s_set_find_json(r, &leaf->set, &cell.json) >= 0;
    return s_set_find(&leaf->set, &cell.value) >= 0;
}

static bool s_test_like(run_t *r, const leaf_t *leaf, view_t bytes)
{
    cell_t cell;
    s_fetch(r, &leaf->place, bytes, &cell);
    return cell.value.kind == EXPR_STRING && like_match(&leaf->like, cell.value.s);
}

/* The next element's number in the set, -1 when it is none of them. */
static bool s_next_found(run_t *r, const leaf_t *leaf, walk_t *w, const cell_t *cell, size_t *at,
                         int64_t *ret)
{
    expr_value_t value;
    json_value_t json;
    if (leaf->place.type == TYPE_ARRAY) {
        if (!s_walk_next(w, &value))
            return false;
        *ret = s_set_find(&leaf->set, &value);
        return true;
    }
    if (!jsonpath_next(cell->json.raw, at, &json))
        return false;
    *ret = s_set_find_json(r, &leaf->set, &json);
    return true;
}

static void s_new_stamp(run_t *r)
{
    if (++r->stamp == 0) {
        memset(r->found, 0, r->plan->most_found * sizeof *r->found);
        r->stamp = 1;
    }
}

static bool s_test_contains(run_t *r, const leaf_t *leaf, view_t bytes)
{
    cell_t cell = {0};
    walk_t w = {0};
    size_t at = 0, missing = s_set_size(&leaf->set);
    bool all = leaf->op == TOK_CONTAINS_ALL;
    if (missing == 0)
        return all;
    if (leaf->place.type == TYPE_ARRAY)
        w = s_walk(bytes, leaf->place.element);
    else
        s_fetch(r, &leaf->place, bytes, &cell);
    if (leaf->place.type == TYPE_JSON && (!cell.there || cell.json.kind != JSON_ARRAY))
        return false;
    s_new_stamp(r);
    for (int64_t found; s_next_found(r, leaf, &w, &cell, &at, &found); ) {
        if (found < 0)
            continue;
        if (!all)
            return true;
        if (r->found[found] != r->stamp && --missing == 0)
            return true;
        r->found[found] = r->stamp;
    }
    return false;
}

static bool s_test_exists(run_t *r, const leaf_t *leaf, view_t bytes)
{
    json_value_t json;
    return jsonpath_find(bytes, leaf->place.path, leaf->place.n_path, &r->scratch, &json);
}

static bool s_test_null(run_t *r, const leaf_t *leaf, view_t bytes)
{
    json_value_t json;
    bool there = jsonpath_find(bytes, leaf->place.path, leaf->place.n_path, &r->scratch, &json);
    return (!there || json.kind == JSON_NULL) == leaf->truth;
}

static bool s_test_fields(run_t *r, const leaf_t *leaf, view_t bytes, size_t row)
{
    cell_t left, right;
    int order;
    s_fetch(r, &leaf->place, bytes, &left);
    s_fetch(r, &leaf->other, column_cell(r->columns[leaf->other.field], row), &right);
    return value_cmp(&left.value, &right.value, &order) && expr_holds(leaf->op, order);
}

static bool s_test(run_t *r, const leaf_t *leaf, view_t bytes, size_t row)
{
    switch (leaf->kind) {
    case LEAF_COMPARE:
        return s_test_compare(r, leaf, bytes);
    case LEAF_RANGE:
        return s_test_range(r, leaf, bytes);
    case LEAF_TERM:
        return s_test_term(r, leaf, bytes);
    case LEAF_LIKE:
        return s_test_like(r, leaf, bytes);
    case LEAF_FIELDS:
        return s_test_fields(r, leaf, bytes, row);
    case LEAF_CONTAINS:
        return s_test_contains(r, leaf, bytes);
    case LEAF_EXISTS:
        return s_test_exists(r, leaf, bytes);
    case LEAF_NULL:
        return s_test_null(r, leaf, bytes);
    case LEAF_CONST:
        break;
    }
    return leaf->truth;
}

/* --- leaves over a block ------------------------------------------------------------------ */

static const column_t *s_column(const run_t *r, uint32_t field)
{
    check(r->columns[field]);
    return r->columns[field];
}

static bool s_is_plain(const place_t *place)
{
    return type_is_number(place->type) || place->type == TYPE_BOOL;
}

/* A VarChar cell is the string itself: nothing to fetch. */
static bool s_test_text(const leaf_t *leaf, view_t text)
{
    switch ((int)leaf->kind) {
    case LEAF_COMPARE:
        if (leaf->op == TOK_EQ || leaf->op == TOK_NE)
            return view_eq(text, leaf->low.s) == (leaf->op == TOK_EQ);
        return expr_holds(leaf->op, view_cmp(text, leaf->low.s));
    case LEAF_RANGE: {
        int low = view_cmp(text, leaf->low.s), high = view_cmp(text, leaf->high.s);
        return low >= leaf->low_open && (high < 0 || (high == 0 && !leaf->high_open));
    }
    case LEAF_TERM:
        return set_find_string(&leaf->set, text) >= 0;
    default:
        return like_match(&leaf->like, text);
    }
}

static bool s_is_text(const leaf_t *leaf)
{
    return leaf->place.type == TYPE_VARCHAR &&
           (leaf->kind == LEAF_COMPARE || leaf->kind == LEAF_RANGE || leaf->kind == LEAF_TERM ||
            leaf->kind == LEAF_LIKE);
}

static void s_each_text(run_t *r, const leaf_t *leaf, const care_t *care, bits_t *out)
{
    const column_t *c = s_column(r, leaf->place.field);
    for (size_t w = 0; w < r->n_words; w++) {
        uint64_t word = 0;
        for (uint64_t left = care->word[w] & ~out->null[w]; left; left &= left - 1) {
            size_t bit = (size_t)__builtin_ctzll(left), row = r->from + 64 * w + bit;
            word |= (uint64_t)s_test_text(leaf, column_cell(c, row)) << bit;
        }
        out->truth[w] = word;
    }
}

/* Row by row, those cared for. */
static void s_each(run_t *r, const leaf_t *leaf, const care_t *care, bits_t *out)
{
    const column_t *c = s_column(r, leaf->place.field);
    for (size_t w = 0; w < r->n_words; w++) {
        uint64_t word = 0;
        for (uint64_t left = care->word[w] & ~out->null[w]; left; left &= left - 1) {
            size_t bit = (size_t)__builtin_ctzll(left), row = r->from + 64 * w + bit;
            word |= (uint64_t)s_test(r, leaf, column_cell(c, row), row) << bit;
        }
        out->truth[w] = word;
    }
}

static void s_add_nulls(const run_t *r, const column_t *c, bits_t *out)
{
    const uint64_t *valid = c->valid ? c->valid + r->from / 64 : NULL;
    for (size_t w = 0; valid && w < r->n_words; w++)
        out->null[w] |= ~valid[w];
}

/* `is null`: of a field, its null bits; of a path, also where it leads nowhere. */
static void s_leaf_null(run_t *r, const leaf_t *leaf, const care_t *care, bits_t *out)
{
    if (leaf->place.n_path > 0)
        s_each(r, leaf, care, out);
    for (size_t w = 0; w < r->n_words; w++) {
        uint64_t null = out->null[w], rest = leaf->place.n_path > 0 ? out->truth[w] & ~null
                                           : leaf->truth ? 0 : ~null;
        out->truth[w] = leaf->truth ? null | rest : rest;
        out->null[w] = 0;
    }
}

static void s_leaf(run_t *r, const leaf_t *leaf, const care_t *care, bits_t *out)
{
    memset(out->null, 0, r->n_words * 8);
    if (leaf->kind == LEAF_CONST) {
        memset(out->truth, leaf->truth ? 0xff : 0, r->n_words * 8);
        return;
    }
    const column_t *c = s_column(r, leaf->place.field);
    s_add_nulls(r, c, out);
    if (leaf->kind == LEAF_FIELDS)
        s_add_nulls(r, s_column(r, leaf->other.field), out);
    bool plain = s_is_plain(&leaf->place);
    if (leaf->kind == LEAF_NULL)
        s_leaf_null(r, leaf, care, out);
    else if (plain && (leaf->kind == LEAF_COMPARE || leaf->kind == LEAF_RANGE))
        expr_span_bits(leaf, c, r->from, r->n_words, out->truth);
    else if (plain && leaf->kind == LEAF_TERM)
        expr_term_bits(leaf, c, r->from, r->n_words, out->truth);
    else if (plain && leaf->kind == LEAF_FIELDS && s_is_plain(&leaf->other))
        expr_fields_bits(leaf, c, s_column(r, leaf->other.field), r->from, r->n_words, out->truth);
    else if (s_is_text(leaf))
        s_each_text(r, leaf, care, out);
    else
        s_each(r, leaf, care, out);
    for (size_t w = 0; w < r->n_words; w++)
        out->truth[w] &= ~out->null[w];
}

/* --- answers from elsewhere --------------------------------------------------------------- */

static const expr_answer_t *s_answer(const run_t *r, size_t leaf)
{
    const expr_answers_t *from = r->answers;
    for (size_t i = 0; from && i < from->n; i++)
        if (from->at[i].leaf == leaf)
            return &from->at[i];
    return NULL;
}

/* 64 bits from bit `at` of n on; those behind the end are 0. */
static uint64_t s_word_at(const uint64_t *words, size_t n, size_t at)
{
    size_t i = at / 64, shift = at % 64, n_words = (n + 63) / 64;
    uint64_t word = i < n_words ? words[i] >> shift : 0;
    if (shift && i + 1 < n_words)
        word |= words[i + 1] << (64 - shift);
    return word;
}

static void s_take(const run_t *r, const expr_answer_t *answer, bits_t *out)
{
    size_t n = r->answers->n_rows, at = r->answers->first + r->from;
    for (size_t w = 0; w < r->n_words; w++, at += 64) {
        out->null[w] = answer->valid ? ~s_word_at(answer->valid, n, at) : 0;
        out->truth[w] = s_word_at(answer->truth, n, at) & ~out->null[w];
    }
}

/* --- the program -------------------------------------------------------------------------- */

static void s_not(bits_t *b, size_t n)
{
    for (size_t w = 0; w < n; w++)
        b->truth[w] = ~(b->truth[w] | b->null[w]);
}

static void s_and(bits_t *l, const bits_t *r, size_t n)
{
    for (size_t w = 0; w < n; w++) {
        uint64_t maybe = (l->truth[w] | l->null[w]) & (r->truth[w] | r->null[w]);
        l->truth[w] &= r->truth[w];
        l->null[w] = maybe & ~l->truth[w];
    }
}

static void s_or(bits_t *l, const bits_t *r, size_t n)
{
    for (size_t w = 0; w < n; w++) {
        l->truth[w] |= r->truth[w];
        l->null[w] = (l->null[w] | r->null[w]) & ~l->truth[w];
    }
}

/* The rows that the right side decides; false when there are none. */
static bool s_care_on(run_t *r, bool either)
{
    const bits_t *left = &r->held[r->n_held - 1];
    const care_t *now = &r->care[r->n_care - 1];
    care_t *next = &r->care[r->n_care];
    uint64_t any = 0;
    for (size_t w = 0; w < r->n_words; w++) {
        uint64_t open = either ? ~left->truth[w] : left->truth[w] | left->null[w];
        next->word[w] = now->word[w] & open;
        any |= next->word[w];
    }
    return any != 0;
}

static void s_run_block(run_t *r)
{
    r->n_held = 0;
    r->n_care = 1;
    for (size_t i = 0; i < r->plan->n_steps; i++) {
        const step_t *step = &r->plan->steps[i];
        bits_t *top = &r->held[r->n_held];
        switch (step->kind) {
        case STEP_LEAF: {
            const expr_answer_t *answer = s_answer(r, i);
            if (answer)
                s_take(r, answer, top);
            else
                s_leaf(r, step->leaf, &r->care[r->n_care - 1], top);
            r->n_held++;
            break;
        }
        case STEP_NOT:
            s_not(top - 1, r->n_words);
            break;
        case STEP_BETWEEN:
            if (s_care_on(r, step->either))
                r->n_care++;
            else
                i = step->jump - 1;
            break;
        case STEP_AND:
        case STEP_OR:
            if (step->kind == STEP_AND)
                s_and(top - 2, top - 1, r->n_words);
            else
                s_or(top - 2, top - 1, r->n_words);
            r->n_held--;
            r->n_care--;
            break;
        }
    }
    check(r->n_held == 1 && r->n_care == 1);
}

static err_t s_run(run_t *r, bitset_t *bits)
{
    size_t n_words = (bits->n_bits + 63) / 64;
    for (size_t word = 0, block = 0; word < n_words; word += BLOCK_WORDS, block++) {
        if (block % ALIVE_BLOCKS == ALIVE_BLOCKS - 1)
            TRY(ctx_alive(r->ctx));
        r->from = word * 64;
        r->n_words = n_words - word < BLOCK_WORDS ? n_words - word : BLOCK_WORDS;
        uint64_t any = 0;
        for (size_t w = 0; w < r->n_words; w++)
            any |= r->care[0].word[w] = bits->words[word + w];
        if (any == 0)
            continue;
        s_run_block(r);
        for (size_t w = 0; w < r->n_words; w++)
            bits->words[word + w] &= r->held[0].truth[w];
        if (!buf_ok(&r->scratch))
            return ctx_fail(r->ctx, ERR_MEMORY, "no memory to read a JSON string");
    }
    return OK;
}

static void s_check_columns(const expr_t *self, const column_t *const *columns,
                            const expr_answers_t *answers, size_t n_rows)
{
    check(!answers || answers->first + n_rows <= answers->n_rows);
    for (size_t i = 0; i < schema_len(self->schema); i++)
        check(!self->needs[i] || (columns[i] ? columns[i]->n == n_rows : answers != NULL));
}

err_t expr_narrow_beside(ctx_t *ctx, const expr_t *self, const column_t *const *columns,
                         const expr_answers_t *answers, size_t n_rows, bitset_t *bits)
{
    check(bits->n_bits == n_rows);
    s_check_columns(self, columns, answers, n_rows);
    run_t r = { .ctx = ctx, .plan = self, .columns = columns, .answers = answers };
    r.held = mem_try(ctx, (self->height + 1) * sizeof *r.held);
    r.care = mem_try(ctx, (self->height + 1) * sizeof *r.care);
    r.found = mem_try(ctx, (self->most_found + 1) * sizeof *r.found);
    err_t err = r.held && r.care && r.found
                ? s_run(&r, bits) : ctx_fail(ctx, ERR_MEMORY, "no memory to evaluate a filter");
    mem_free(r.held);
    mem_free(r.care);
    mem_free(r.found);
    buf_fini(&r.scratch);
    return err;
}

err_t expr_narrow(ctx_t *ctx, const expr_t *self, const column_t *const *columns, size_t n_rows,
                  bitset_t *bits)
{
    return expr_narrow_beside(ctx, self, columns, NULL, n_rows, bits);
}

err_t expr_eval(ctx_t *ctx, const expr_t *self, const column_t *const *columns, size_t n_rows,
                bitset_t *ret)
{
    bitset_fill(ret, true);
    return expr_narrow(ctx, self, columns, n_rows, ret);
}
