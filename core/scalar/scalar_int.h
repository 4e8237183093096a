/* scalar_int - what the files of core/scalar share
 *
 * An index is two halves that know nothing of each other:
 *
 *     dictionary   values in order; a value's place in it is its ordinal.  It turns what is asked
 *                  into a range of ordinals, or walks over some for a pattern
 *         numbers      an array of int64 or double              scalar_terms.c
 *         texts        front-coded, in blocks of 16             scalar_terms.c
 *         trie         nodes in preorder                        scalar_trie.c
 *     postings     ordinal ──► rows.  They set the bits of a range of ordinals, and know how many
 *                  there are without looking at them
 *         rows         one row an ordinal (values repeat)       scalar_lists.c
 *         lists        gaps as varints, dense ones as bits      scalar_lists.c
 *         bitmaps      Roaring's containers                     scalar_bitmaps.c
 *
 *     STL_SORT = numbers + rows     INVERTED = numbers or texts + lists
 *     TRIE     = trie + lists       BITMAP   = numbers or texts + bitmaps
 *
 * So equality, sets, ranges and prefixes cost a search in the dictionary and the rows they match;
 * patterns that begin with a wildcard cost a walk over the distinct values instead of the rows.
 * Of a range that takes most rows the others are set and the bits turned.
 *
 * The law is that bits are those of core/expr: numbers compare as there (an integer constant and
 * a double exactly; -0 is 0; a NaN is in no dictionary and equals nothing, so `!=` is true of it);
 * texts by bytes.  Nulls are a bitmap of their own, and nothing is true of them.
 *
 * BITMAP of a field with more than LIMIT_SCALAR_BITMAPS values has lists: a container costs 16
 * bytes besides its rows, and thousands of values have a row or two in each.
 *
 * The object, little-endian:
 *
 *     offset   size     field
 *     0        4        magic "ELSC"
 *     4        2        version, 1
 *     6        1, 1, 1  type (scalar_type_t), cells, element (type_t)
 *     9        1, 1     dictionary (dict_t), postings (posts_t)
 *     11       5        0
 *     16       8        length of the object
 *     24       8        seed of the build
 *     32       8        rows of the segment
 *     40       8        ordinals n
 *     48       8        rows listed: of all ordinals together
 *     56       4        crc32c of all bytes from 64 on
 *     60       4        crc32c of the bytes before
 *     64       8*8      lengths of the sections, in this order; then 0
 *     128      ..       sections, each at a multiple of 64, zeros between
 *
 *     VALID    8⌈rows/64⌉   bit i: row i is not null; empty: none is null
 *     KEYS     numbers: 8*n, rising; texts: blocks; trie: labels
 *     HEADS    texts: u64 offsets of blocks and of the end; trie: nodes and an end
 *     GROUPS   lists: {u64 offset, u64 rows before} of each 16 lists and of the end
 *              bitmaps: {u64 container, u64 rows before} of each and of the end
 *     CHUNKS   bitmaps: containers, {u32 chunk, u32 rows, u64 offset}
 *     LISTS    rows: u32 each; lists; containers' bytes
 */
#ifndef CORE_SCALAR_SCALAR_INT_H
#define CORE_SCALAR_SCALAR_INT_H

#include "core/base/limits.h"
#include "core/scalar/scalar_index.h"

enum { SCALAR_HEAD_BYTES = 128, SCALAR_ALIGN = 64, SCALAR_BLOCK = 16 };

typedef enum { PART_VALID, PART_KEYS, PART_HEADS, PART_GROUPS, PART_CHUNKS, PART_LISTS,
               PARTS } part_kind_t;

typedef enum { DICT_INTS = 1, DICT_DOUBLES, DICT_TEXTS, DICT_TRIE } dict_t;
typedef enum { POSTS_ROWS = 1, POSTS_LISTS, POSTS_BITMAPS } posts_t;

struct scalar_index {
    scalar_spec_t spec;
    const char *name;           /* while it is opened */
    dict_t dict;
    posts_t posts;
    uint64_t rows, n, listed, valid;    /* valid: rows that are not null */
    view_t parts[PARTS];        /* borrowed */
};

/* Ordinals [from, to). */
typedef struct ordinals { uint64_t from, to; } ordinals_t;

/* --- building ---------------------------------------------------------------------------- */

/* Values in order, each once, and their rows. */
typedef struct scalar_terms {
    bool text, real;            /* VarChar; Float, Double */
    size_t n, listed;
    uint64_t *numbers;          /* owned; [n] the bits of int64 or double */
    view_t *texts;              /* owned; [n] borrowed from the columns */
    uint64_t *starts;           /* owned; [n + 1] into rows */
    uint32_t *rows;             /* owned; [listed] rising within a value */
} scalar_terms_t;

/* Read the columns and sort.  fini is needed after failures too. */
err_t must_use scalar_order(ctx_t *ctx, const scalar_spec_t *spec, const column_t *columns,
                            size_t n, scalar_terms_t *ret);
void scalar_terms_fini(scalar_terms_t *self);

/* The object under way: sections go in by their order. */
typedef struct scalar_writer {
    scalar_spec_t spec;
    dict_t dict;
    posts_t posts;
    uint64_t rows, n, listed;
    buf_t *out;
    part_kind_t next;
} scalar_writer_t;

void scalar_writer_begin(scalar_writer_t *self);
/* The bytes added to out since the last section are this one; those between are empty. */
void scalar_writer_end(scalar_writer_t *self, part_kind_t part);
err_t must_use scalar_writer_close(ctx_t *ctx, scalar_writer_t *self);

static inline void scalar_add_varint(buf_t *into, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_add_u8(into, (uint8_t)(v | 0x80));
    buf_add_u8(into, (uint8_t)v);
}

/* Sections KEYS and HEADS. */
err_t must_use scalar_write_numbers(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms);
err_t must_use scalar_write_texts(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms);
err_t must_use scalar_write_trie(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms);
/* GROUPS, CHUNKS and LISTS. */
err_t must_use scalar_write_rows(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms);
err_t must_use scalar_write_lists(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms);
err_t must_use scalar_write_bitmaps(ctx_t *ctx, scalar_writer_t *w, const scalar_terms_t *terms);

/* --- opening ----------------------------------------------------------------------------- */

err_t scalar_damaged(ctx_t *ctx, const scalar_index_t *self, const char *what);

/* Head, checksums, places of sections, VALID. */
err_t must_use scalar_read(ctx_t *ctx, const char *name, view_t bytes, scalar_index_t *ret);

/* Of each half: everything that an answer relies on. */
err_t must_use scalar_check_numbers(ctx_t *ctx, const scalar_index_t *self);
err_t must_use scalar_check_texts(ctx_t *ctx, const scalar_index_t *self);
err_t must_use scalar_check_trie(ctx_t *ctx, const scalar_index_t *self);
err_t must_use scalar_check_rows(ctx_t *ctx, const scalar_index_t *self);
err_t must_use scalar_check_lists(ctx_t *ctx, const scalar_index_t *self);
err_t must_use scalar_check_bitmaps(ctx_t *ctx, const scalar_index_t *self);

/* A varint that must end before `end`; false: it does not, or is longer than 64 bits. */
static inline bool scalar_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 63 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* The same, of bytes that were checked. */
static inline uint64_t scalar_take_varint(const uint8_t **at)
{
    uint64_t v = 0;
    for (unsigned shift = 0; ; shift += 7) {
        uint8_t byte = *(*at)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
}

/* --- asking ------------------------------------------------------------------------------- */

ordinals_t scalar_find_ints(const scalar_index_t *self, int64_t low, int64_t high);
ordinals_t scalar_find_doubles(const scalar_index_t *self, double low, double high);

/* The first text that is not below this one; *ret_exact: it is this one. */
uint64_t scalar_lower_text(const scalar_index_t *self, view_t text, bool *ret_exact);
uint64_t scalar_lower_trie(const scalar_index_t *self, view_t text, bool *ret_exact);

/* All that begin so. */
ordinals_t scalar_prefix_text(const scalar_index_t *self, view_t prefix);
ordinals_t scalar_prefix_trie(const scalar_index_t *self, view_t prefix);

/* See each text of a range, in order. */
typedef struct scalar_walk {
    const scalar_index_t *index;
    uint64_t at, to;            /* ordinals */
    uint8_t *text;              /* owned; room for the longest */
    size_t len;
    uint64_t node;              /* trie: to look at next */
    const uint8_t *next;        /* texts: to read next */
} scalar_walk_t;

err_t must_use scalar_walk_init(ctx_t *ctx, scalar_walk_t *self, const scalar_index_t *index,
                                ordinals_t range);
void scalar_walk_fini(scalar_walk_t *self);
/* The text at self->at, which goes on; false behind the last. */
bool scalar_walk_next(scalar_walk_t *self, view_t *ret);
void scalar_walk_begin_trie(scalar_walk_t *self);
void scalar_walk_next_trie(scalar_walk_t *self);

/* How many rows these have; for numbers + rows, lists and bitmaps. */
uint64_t scalar_count(const scalar_index_t *self, ordinals_t range);

/* Set the bits of their rows. */
void scalar_set(const scalar_index_t *self, ordinals_t range, bitset_t *bits);
void scalar_set_lists(const scalar_index_t *self, ordinals_t range, bitset_t *bits);
void scalar_set_bitmaps(const scalar_index_t *self, ordinals_t range, bitset_t *bits);

#endif
