/* scalar_index - see scalar_index.h: types, building, opening */
#include "core/scalar/scalar_index.h"

#include "core/scalar/scalar_int.h"

/* --- types -------------------------------------------------------------------------------- */

static const struct { const char *name; scalar_type_t type; } s_names[] = {
    { "STL_SORT", SCALAR_SORT }, { "INVERTED", SCALAR_INVERTED }, { "BITMAP", SCALAR_BITMAP },
    { "Trie", SCALAR_TRIE }, { "TRIE", SCALAR_TRIE }, { "AUTOINDEX", SCALAR_INVERTED },
};

bool scalar_type_parse(const char *name, scalar_type_t *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(s_names); i++)
        if (strcmp(s_names[i].name, name) == 0) {
            *ret = s_names[i].type;
            return true;
        }
    return false;
}

const char *scalar_type_name(scalar_type_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(s_names); i++)
        if (s_names[i].type == type)
            return s_names[i].name;
    return "none";
}

bool scalar_type_fits(scalar_type_t type, type_t cells, type_t element)
{
    type_t of = cells == TYPE_ARRAY ? element : cells;
    bool plain = of == TYPE_BOOL || type_is_integer(of) || of == TYPE_VARCHAR;
    switch (type) {
    case SCALAR_SORT:
        return type_is_number(cells);
    case SCALAR_INVERTED:
        return plain || type_is_number(of);
    case SCALAR_BITMAP:
        return plain;
    case SCALAR_TRIE:
        return cells == TYPE_VARCHAR;
    case SCALAR_NONE:
    case SCALAR_TYPES:
        break;
    }
    return false;
}

/* --- building ----------------------------------------------------------------------------- */

static void s_write_valid(scalar_writer_t *w, const column_t *columns, size_t n)
{
    bool nulls = false;
    size_t words = ((size_t)w->rows + 63) / 64, row = 0;
    for (size_t c = 0; c < n; c++)
        nulls |= columns[c].valid != NULL;
    uint8_t *at = nulls ? buf_reserve(w->out, 8 * words) : NULL;
    if (at) {
        memset(at, 0, 8 * words);
        for (size_t c = 0; c < n; c++)
            for (size_t i = 0; i < columns[c].n; i++, row++)
                if (!column_is_null(&columns[c], i))
                    at[row / 8] |= (uint8_t)(1u << row % 8);
        w->out->len += 8 * words;
    }
    scalar_writer_end(w, PART_VALID);
}

static err_t s_write(ctx_t *ctx, scalar_writer_t *w, const column_t *columns, size_t n,
                     const scalar_terms_t *terms)
{
    scalar_writer_begin(w);
    s_write_valid(w, columns, n);
    TRY(w->dict == DICT_TRIE ? scalar_write_trie(ctx, w, terms)
        : w->dict == DICT_TEXTS ? scalar_write_texts(ctx, w, terms)
        : scalar_write_numbers(ctx, w, terms));
    TRY(ctx_alive(ctx));
    TRY(w->posts == POSTS_ROWS ? scalar_write_rows(ctx, w, terms)
        : w->posts == POSTS_LISTS ? scalar_write_lists(ctx, w, terms)
        : scalar_write_bitmaps(ctx, w, terms));
    return scalar_writer_close(ctx, w);
}

static void s_choose(const scalar_terms_t *terms, scalar_writer_t *w)
{
    scalar_type_t type = w->spec.type;
    w->dict = type == SCALAR_TRIE ? DICT_TRIE : terms->text ? DICT_TEXTS
            : terms->real ? DICT_DOUBLES : DICT_INTS;
    w->posts = type == SCALAR_SORT ? POSTS_ROWS
             : type == SCALAR_BITMAP && terms->n <= LIMIT_SCALAR_BITMAPS ? POSTS_BITMAPS
             : POSTS_LISTS;
    w->n = type == SCALAR_SORT ? terms->listed : terms->n;
    w->listed = terms->listed;
}

err_t scalar_index_build(ctx_t *ctx, const scalar_spec_t *spec, const column_t *columns, size_t n,
                         _Atomic unsigned *percent, buf_t *ret)
{
    scalar_writer_t w = { .spec = *spec, .out = ret };
    scalar_terms_t terms;
    check(scalar_type_fits(spec->type, spec->cells, spec->element) && ret->len == 0);
    for (size_t c = 0; c < n; c++) {
        check(columns[c].type == spec->cells);
        check(columns[c].type != TYPE_ARRAY || columns[c].element == spec->element);
        w.rows += columns[c].n;
    }
    if (w.rows > LIMIT_INDEX_ROWS)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "a scalar index of %llu rows, at most %u",
                        (unsigned long long)w.rows, LIMIT_INDEX_ROWS);
    err_t err = scalar_order(ctx, spec, columns, n, &terms);
    if (percent)
        *percent = 70;
    s_choose(&terms, &w);
    if (err == OK)
        err = s_write(ctx, &w, columns, n, &terms);
    scalar_terms_fini(&terms);
    if (percent && err == OK)
        *percent = 100;
    return err;
}

/* --- opening ------------------------------------------------------------------------------ */

static err_t s_check(ctx_t *ctx, const scalar_index_t *self)
{
    TRY(self->dict == DICT_TRIE ? scalar_check_trie(ctx, self)
        : self->dict == DICT_TEXTS ? scalar_check_texts(ctx, self)
        : scalar_check_numbers(ctx, self));
    return self->posts == POSTS_ROWS ? scalar_check_rows(ctx, self)
         : self->posts == POSTS_LISTS ? scalar_check_lists(ctx, self)
         : scalar_check_bitmaps(ctx, self);
}

err_t scalar_index_open(ctx_t *ctx, const char *name, view_t bytes, scalar_index_t **ret)
{
    check(ret && *ret == NULL);
    scalar_index_t *self = mem_new(sizeof *self);
    err_t err = scalar_read(ctx, name, bytes, self);
    if (err == OK)
        err = s_check(ctx, self);
    self->name = NULL;
    if (err == OK)
        *ret = self;
    else
        scalar_index_destroy(&self);
    return err;
}

void scalar_index_destroy(scalar_index_t **self_p)
{
    mem_free(*self_p);
    *self_p = NULL;
}

const scalar_spec_t *scalar_index_spec(const scalar_index_t *self)  { return &self->spec; }
size_t scalar_index_rows(const scalar_index_t *self)                { return (size_t)self->rows; }
size_t scalar_index_terms(const scalar_index_t *self)               { return (size_t)self->n; }

const uint64_t *scalar_index_valid(const scalar_index_t *self)
{
    view_t words = self->parts[PART_VALID];
    return words.len ? (const uint64_t *)(const void *)words.ptr : NULL;
}
