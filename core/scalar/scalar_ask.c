/* scalar_ask - what a filter asks, as ordinals of the dictionary and bits of their rows */
#include "core/expr/like.h"
#include "core/scalar/scalar_int.h"

enum { SAMPLE = 64, ALIVE_TERMS = 4096, FIND_WORK = 30, WALK_WORK = 10 };  /* works: in terms */

/* --- which ordinals ----------------------------------------------------------------------- */

static uint64_t s_lower(const scalar_index_t *self, view_t text, bool *ret_exact)
{
    return self->dict == DICT_TRIE ? scalar_lower_trie(self, text, ret_exact)
                                   : scalar_lower_text(self, text, ret_exact);
}

static ordinals_t s_prefix(const scalar_index_t *self, view_t prefix)
{
    return self->dict == DICT_TRIE ? scalar_prefix_trie(self, prefix)
                                   : scalar_prefix_text(self, prefix);
}

static ordinals_t s_one_text(const scalar_index_t *self, view_t text)
{
    bool exact = false;
    uint64_t at = s_lower(self, text, &exact);
    return (ordinals_t){ at, at + exact };
}

static ordinals_t s_between(const scalar_index_t *self, const expr_ask_t *ask)
{
    ordinals_t range = { 0, self->n };
    bool exact = false;
    if (ask->has_low) {
        range.from = s_lower(self, ask->low_text, &exact);
        range.from += exact && ask->low_open;
    }
    if (ask->has_high) {
        range.to = s_lower(self, ask->high_text, &exact);
        range.to += exact && !ask->high_open;
    }
    return range.from < range.to ? range : (ordinals_t){0};
}

static ordinals_t s_span(const scalar_index_t *self, const expr_ask_t *ask)
{
    return ask->empty ? (ordinals_t){0}
         : self->dict == DICT_INTS ? scalar_find_ints(self, ask->low_int, ask->high_int)
         : scalar_find_doubles(self, ask->low, ask->high);
}

/* Bool is in the dictionary as 0 and 1, and only `false` and `true` equal it. */
static bool s_is_bool(const scalar_index_t *self)
{
    const scalar_spec_t *spec = &self->spec;
    return (spec->cells == TYPE_ARRAY ? spec->element : spec->cells) == TYPE_BOOL;
}

/* The double that equals an integer; false: there is none. */
static bool s_as_double(int64_t i, double *ret)
{
    *ret = (double)i;
    return *ret < 0x1p63 && (int64_t)*ret == i;
}

static size_t s_set_size(const expr_ask_set_t *set)
{
    return set->n_ints + set->n_doubles + set->n_strings + set->has[0] + set->has[1];
}

static ordinals_t s_number_of_set(const scalar_index_t *self, const expr_ask_set_t *set, size_t i)
{
    double d = 0;
    if (s_is_bool(self) || (self->dict != DICT_INTS && self->dict != DICT_DOUBLES))
        return (ordinals_t){0};
    if (self->dict == DICT_INTS)
        return i < set->n_ints ? scalar_find_ints(self, set->ints[i], set->ints[i])
                               : (ordinals_t){0};
    if (i < set->n_ints)
        return s_as_double(set->ints[i], &d) ? scalar_find_doubles(self, d, d) : (ordinals_t){0};
    d = set->doubles[i - set->n_ints];
    return scalar_find_doubles(self, d, d);
}

/* The values that equal constant i of a set; none where kinds differ. */
static ordinals_t s_of_set(const scalar_index_t *self, const expr_ask_set_t *set, size_t i)
{
    bool text = self->dict == DICT_TEXTS || self->dict == DICT_TRIE;
    if (i < set->n_ints + set->n_doubles)
        return s_number_of_set(self, set, i);
    i -= set->n_ints + set->n_doubles;
    if (i < set->n_strings)
        return text ? s_one_text(self, set->strings[i]) : (ordinals_t){0};
    int64_t truth = set->has[0] ? (int64_t)(i - set->n_strings) : 1;
    return s_is_bool(self) ? scalar_find_ints(self, truth, truth) : (ordinals_t){0};
}

/* The texts that a pattern may match; *ret_all: it matches them all. */
static ordinals_t s_like(const scalar_index_t *self, const like_t *like, bool *ret_all)
{
    size_t literal = 0;
    *ret_all = like->kind == LIKE_EQUAL || like->kind == LIKE_PREFIX ||
               (like->kind == LIKE_INNER && like->part.len == 0);
    if (like->kind == LIKE_EQUAL)
        return s_one_text(self, like->part);
    if (like->kind == LIKE_PREFIX)
        return s_prefix(self, like->part);
    while (like->kind == LIKE_GENERAL && literal < like->part.len && !like->marks[literal])
        literal++;
    return s_prefix(self, view_of(like->part.ptr, literal));
}

/* --- estimates ---------------------------------------------------------------------------- */

/* Rows that are not null and in no list: NaNs, empty Arrays. */
static bool s_covers(const scalar_index_t *self)
{
    return self->spec.cells != TYPE_ARRAY && self->listed == self->valid;
}

static bool s_turns(const scalar_index_t *self, uint64_t count)
{
    return s_covers(self) && count > self->valid / 2;
}

/* Gaps are read one byte after the other, rows and containers are there. */
static uint64_t s_row_work(const scalar_index_t *self, uint64_t rows)
{
    return self->posts == POSTS_LISTS ? 2 * rows : rows;
}

static void s_work_of_range(const scalar_index_t *self, ordinals_t range, scalar_work_t *ret)
{
    uint64_t count = scalar_count(self, range), terms = range.to - range.from;
    bool turn = s_turns(self, count);
    bool bitmaps = self->posts == POSTS_BITMAPS;
    ret->matches = count;
    ret->rows = s_row_work(self, turn ? self->valid - count : count);
    ret->terms = self->posts == POSTS_ROWS ? 0 : turn ? self->n - terms : terms;
    uint64_t dense = ret->terms * (self->rows / 64 + 1);
    if (bitmaps && ret->rows > dense)           /* words, not rows */
        ret->rows = dense;
}

static void s_work_of_set(const scalar_index_t *self, const expr_ask_set_t *set,
                          scalar_work_t *ret)
{
    size_t n = s_set_size(set), step = n / SAMPLE + 1, seen = 0;
    for (size_t i = 0; i < n; i += step, seen++)
        ret->matches += scalar_count(self, s_of_set(self, set, i));
    ret->matches = seen ? ret->matches * n / seen : 0;
    ret->rows = s_row_work(self, ret->matches);
    ret->terms = n * FIND_WORK;                 /* each has to be found */
    ret->matches = ret->matches < self->valid ? ret->matches : self->valid;
}

static void s_work_of_like(const scalar_index_t *self, const like_t *like, scalar_work_t *ret)
{
    bool all = false;
    ordinals_t range = s_like(self, like, &all);
    ret->matches = scalar_count(self, range);
    ret->rows = s_row_work(self, ret->matches);
    ret->terms = (range.to - range.from) * (all ? 1 : WALK_WORK);
}

bool scalar_index_estimate(const scalar_index_t *self, const expr_ask_t *ask, scalar_work_t *ret)
{
    bool array = self->spec.cells == TYPE_ARRAY;
    bool text = self->dict == DICT_TEXTS || self->dict == DICT_TRIE;
    *ret = (scalar_work_t){0};
    if (ask->kind == EXPR_ASK_NULL) {
        ret->matches = ask->negate ? self->valid : self->rows - self->valid;
        return true;
    }
    if (array != (ask->kind == EXPR_ASK_ANY || ask->kind == EXPR_ASK_ALL))
        return false;
    if (ask->kind == EXPR_ASK_SPAN || ask->kind == EXPR_ASK_TEXT) {
        if (text != (ask->kind == EXPR_ASK_TEXT))
            return false;
        s_work_of_range(self, text ? s_between(self, ask) : s_span(self, ask), ret);
    } else if (ask->kind == EXPR_ASK_LIKE) {
        if (!text)
            return false;
        s_work_of_like(self, ask->like, ret);
    } else {
        s_work_of_set(self, &ask->set, ret);
    }
    if (ask->negate)
        ret->matches = self->valid - (ret->matches < self->valid ? ret->matches : self->valid);
    return true;
}

/* --- answers ------------------------------------------------------------------------------ */

/* Of the rows that are not null those that were not set. */
static void s_turn(const scalar_index_t *self, bitset_t *bits)
{
    const uint64_t *valid = scalar_index_valid(self);
    bitset_not(bits);
    for (size_t w = 0; valid && w < (bits->n_bits + 63) / 64; w++)
        bits->words[w] &= valid[w];
}

static void s_answer_range(const scalar_index_t *self, ordinals_t range, bitset_t *bits)
{
    if (range.from >= range.to)
        return;
    if (!s_turns(self, scalar_count(self, range))) {
        scalar_set(self, range, bits);
        return;
    }
    scalar_set(self, (ordinals_t){ 0, range.from }, bits);
    scalar_set(self, (ordinals_t){ range.to, self->n }, bits);
    s_turn(self, bits);
}

static err_t s_answer_any(ctx_t *ctx, const scalar_index_t *self, const expr_ask_set_t *set,
                          bitset_t *bits)
{
    for (size_t i = 0; i < s_set_size(set); i++) {
        if (i % ALIVE_TERMS == ALIVE_TERMS - 1)
            TRY(ctx_alive(ctx));
        scalar_set(self, s_of_set(self, set, i), bits);
    }
    return OK;
}

/* Of no constants, true of every row. */
static err_t s_answer_all(ctx_t *ctx, const scalar_index_t *self, const expr_ask_set_t *set,
                          bitset_t *bits)
{
    bitset_t one = {0};
    if (s_set_size(set) == 0)
        s_turn(self, bits);
    else
        scalar_set(self, s_of_set(self, set, 0), bits);
    TRY(bitset_init(ctx, &one, bits->n_bits));
    err_t err = OK;
    for (size_t i = 1; err == OK && i < s_set_size(set); i++) {
        bitset_fill(&one, false);
        scalar_set(self, s_of_set(self, set, i), &one);
        bitset_and(bits, &one);
        err = ctx_alive(ctx);
    }
    bitset_fini(&one);
    return err;
}

/* Runs of texts that match are set together. */
static err_t s_answer_walk(ctx_t *ctx, const scalar_index_t *self, const like_t *like,
                           scalar_walk_t *walk, bitset_t *bits)
{
    ordinals_t run = { walk->at, walk->at };
    view_t text;
    while (scalar_walk_next(walk, &text)) {
        if (walk->at % ALIVE_TERMS == 0)
            TRY(ctx_alive(ctx));
        if (like_match(like, text)) {
            run.to = walk->at;
            continue;
        }
        scalar_set(self, run, bits);
        run = (ordinals_t){ walk->at, walk->at };
    }
    scalar_set(self, run, bits);
    return OK;
}

static err_t s_answer_like(ctx_t *ctx, const scalar_index_t *self, const like_t *like,
                           bitset_t *bits)
{
    bool all = false;
    scalar_walk_t walk;
    ordinals_t range = s_like(self, like, &all);
    if (all) {
        s_answer_range(self, range, bits);
        return OK;
    }
    err_t err = scalar_walk_init(ctx, &walk, self, range);
    if (err == OK)
        err = s_answer_walk(ctx, self, like, &walk, bits);
    scalar_walk_fini(&walk);
    return err;
}

err_t scalar_index_answer(ctx_t *ctx, const scalar_index_t *self, const expr_ask_t *ask,
                          bitset_t *ret)
{
    check(ret->n_bits == self->rows);
    switch (ask->kind) {
    case EXPR_ASK_SPAN:
        s_answer_range(self, s_span(self, ask), ret);
        break;
    case EXPR_ASK_TEXT:
        s_answer_range(self, s_between(self, ask), ret);
        break;
    case EXPR_ASK_IN:
    case EXPR_ASK_ANY:
        TRY(s_answer_any(ctx, self, &ask->set, ret));
        break;
    case EXPR_ASK_ALL:
        TRY(s_answer_all(ctx, self, &ask->set, ret));
        break;
    case EXPR_ASK_LIKE:
        TRY(s_answer_like(ctx, self, ask->like, ret));
        break;
    case EXPR_ASK_NULL:
        s_turn(self, ret);                      /* all that are not null */
        if (!ask->negate)
            bitset_not(ret);
        return OK;
    }
    if (ask->negate)
        s_turn(self, ret);
    return OK;
}

/* `is null` is never neither true nor false. */
expr_answer_t scalar_index_says(const scalar_index_t *self, const expr_ask_t *ask,
                                const bitset_t *bits)
{
    const uint64_t *valid = ask->kind == EXPR_ASK_NULL ? NULL : scalar_index_valid(self);
    return (expr_answer_t){ .leaf = ask->leaf, .truth = bits->words, .valid = valid };
}
