/* table - text in columns that fit a terminal
 *
 *     NAME         STATE   CPU%     MEMORY
 *     coord-1      up       0.5    12.1 MB
 *
 * Every cell is made harmless first: a control character, which could move the
 * cursor or set a colour, becomes '?', whoever put it into a name.  When a table
 * is wider than it may be, whole columns go, those of the highest rank first, and
 * then cells of elastic columns are cut and end with "…".
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "core/base/buf.h"
#include "core/base/vec.h"

typedef struct table_column {
    const char *title;
    int rank;                   /* 0: never left out */
    bool right;                 /* numbers */
    bool elastic;               /* may be cut */
} table_column_t;

typedef struct table {
    ctx_t *ctx;                 /* borrowed: cells live in its arena */
    const table_column_t *columns;
    size_t n_columns;
    vec_t cells;                /* of const char *, row by row */
} table_t;

/* columns: [n], borrowed. */
void table_init(table_t *self, ctx_t *ctx, const table_column_t *columns, size_t n);
void table_fini(table_t *self);
#define table_scoped __attribute__((cleanup(table_fini))) table_t

/* The next cell, left to right and then the next row; NULL or "": "-". */
void table_add(table_t *self, const char *text);
void table_addf(table_t *self, const char *format, ...) printf_like(2, 3);

size_t table_rows(const table_t *self);

/* With titles; each line at most `width` columns where that can be done; 0: no bound. */
void table_print(const table_t *self, size_t width, buf_t *into);

/* Columns that UTF-8 text takes: one a character. */
size_t text_width(const char *text);

/* Text without control characters and bad UTF-8, cut to `width` columns (0: whole) with "…". */
const char *text_safe(ctx_t *ctx, const char *text, size_t width);

/* Words in lines of at most `width`, each behind `indent` spaces. */
void text_wrap(const char *text, size_t indent, size_t width, buf_t *into);

/* How wide the terminal of stdout is; else COLUMNS; else 80. */
size_t text_columns(void);

#endif
