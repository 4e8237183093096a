/* table - see table.h */
#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/utf8.h"

enum { GAP = 2, LEAST_ELASTIC = 8, WANTED_ELASTIC = 20, USUAL_WIDTH = 80 };

/* --- text --------------------------------------------------------------------------- */

size_t text_width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Bytes of the character here; 0: not a character that may be shown. */
static size_t s_character(const unsigned char *at)
{
    if (at[0] < 0x20 || at[0] == 0x7f)
        return 0;
    if (at[0] < 0x80)
        return 1;
    size_t n = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool control = at[0] == 0xc2 && at[1] < 0xa0;           /* C1 */
    return !control && utf8_ok(view_of(at, n)) ? n : 0;
}

const char *text_safe(ctx_t *ctx, const char *text, size_t width)
{
    buf_scoped into = {0};
    size_t shown = 0, cut_at = 0;
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        if (width > 0 && shown == width - 1)
            cut_at = into.len;
        if (width > 0 && shown == width) {
            into.len = cut_at;
            buf_add_str(&into, "…");
            break;
        }
        size_t n = s_character(at);
        buf_add(&into, n ? (const char *)at : "?", n ? n : 1);
        at += n ? n : 1;
        shown++;
    }
    return ctx_strdup(ctx, into.len ? buf_str(&into) : "");
}

void text_wrap(const char *text, size_t indent, size_t width, buf_t *into)
{
    size_t used = 0, room = width > indent + 20 ? width - indent : 20;
    for (const char *at = text + strspn(text, " "); *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        char *word = mem_new(len + 1);
        memcpy(word, at, len);
        size_t wide = text_width(word);
        mem_free(word);
        if (used > 0 && used + 1 + wide > room) {
            buf_add_str(into, "\n");
            used = 0;
        }
        if (used == 0)
            buf_addf(into, "%*s", (int)indent, "");
        buf_addf(into, "%s%.*s", used ? " " : "", (int)len, at);
        used += wide + (used > 0);
        at += len;
    }
    if (used > 0)
        buf_add_str(into, "\n");
}

size_t text_columns(void)
{
    struct winsize size = {0};
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *said = getenv("COLUMNS");
    long columns = said ? strtol(said, NULL, 10) : 0;
    return columns > 0 && columns <= 10000 ? (size_t)columns : USUAL_WIDTH;
}

/* --- the table ------------------------------------------------------------------------ */

void table_init(table_t *self, ctx_t *ctx, const table_column_t *columns, size_t n)
{
    *self = (table_t){ .ctx = ctx, .columns = columns, .n_columns = n };
    vec_init(&self->cells, sizeof(const char *));
}

void table_fini(table_t *self)
{
    vec_fini(&self->cells);
}

void table_add(table_t *self, const char *text)
{
    const char *safe = text && text[0] ? text_safe(self->ctx, text, 0) : "-";
    vec_push(&self->cells, &safe);
}

void table_addf(table_t *self, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    table_add(self, text);
}

size_t table_rows(const table_t *self)
{
    check(self->cells.len % self->n_columns == 0);
    return self->cells.len / self->n_columns;
}

static const char *s_cell(const table_t *self, size_t row, size_t column)
{
    return *(const char **)vec_at(&self->cells, row * self->n_columns + column);
}

static size_t s_total(const table_t *self, const size_t *widths)
{
    size_t total = 0;
    for (size_t i = 0; i < self->n_columns; i++)
        total += widths[i] ? widths[i] + (total ? GAP : 0) : 0;
    return total;
}

/* Leave out the shown column of the highest rank, the last of several; false: none may go. */
static bool s_drop(const table_t *self, size_t *widths)
{
    size_t found = 0;
    int rank = 0;
    for (size_t i = 0; i < self->n_columns; i++) {
        if (widths[i] && self->columns[i].rank >= rank && self->columns[i].rank > 0) {
            rank = self->columns[i].rank;
            found = i;
        }
    }
    widths[found] = rank ? 0 : widths[found];
    return rank > 0;
}

/* Take one column from the widest that is elastic; false: none is left. */
static bool s_squeeze(const table_t *self, size_t *widths)
{
    size_t widest = self->n_columns;
    for (size_t i = 0; i < self->n_columns; i++)
        if (self->columns[i].elastic && widths[i] > LEAST_ELASTIC &&
            (widest == self->n_columns || widths[i] > widths[widest]))
            widest = i;
    if (widest == self->n_columns)
        return false;
    widths[widest]--;
    return true;
}

/* What the elastic ones could give before a column has to go. */
static size_t s_least_total(const table_t *self, const size_t *widths)
{
    size_t total = s_total(self, widths);
    for (size_t i = 0; i < self->n_columns; i++)
        if (self->columns[i].elastic && widths[i] > WANTED_ELASTIC)
            total -= widths[i] - WANTED_ELASTIC;
    return total;
}

static void s_fit(const table_t *self, size_t width, size_t *widths)
{
    for (size_t i = 0; i < self->n_columns; i++) {
        widths[i] = text_width(self->columns[i].title);
        for (size_t row = 0; row < table_rows(self); row++) {
            size_t wide = text_width(s_cell(self, row, i));
            widths[i] = wide > widths[i] ? wide : widths[i];
        }
    }
    if (width == 0)
        return;
    while (s_least_total(self, widths) > width && s_drop(self, widths))
        ;
    while (s_total(self, widths) > width && s_squeeze(self, widths))
        ;
}

static void s_line(const table_t *self, const size_t *widths, const char *const *cells,
                   buf_t *into)
{
    size_t start = into->len;
    for (size_t i = 0; i < self->n_columns; i++) {
        if (widths[i] == 0)
            continue;
        bool cut = text_width(cells[i]) > widths[i];
        const char *text = cut ? text_safe(self->ctx, cells[i], widths[i]) : cells[i];
        int pad = (int)(widths[i] - text_width(text));
        buf_addf(into, "%*s%*s%s%*s", into->len > start ? GAP : 0, "",
                 self->columns[i].right ? pad : 0, "", text,
                 self->columns[i].right ? 0 : pad, "");
    }
    while (into->len > start && into->ptr[into->len - 1] == ' ')
        into->len--;
    buf_add_str(into, "\n");
}

void table_print(const table_t *self, size_t width, buf_t *into)
{
    size_t *widths = ctx_new(self->ctx, self->n_columns * sizeof *widths);
    const char **titles = ctx_new(self->ctx, self->n_columns * sizeof *titles);
    s_fit(self, width, widths);
    for (size_t i = 0; i < self->n_columns; i++)
        titles[i] = self->columns[i].title;
    s_line(self, widths, titles, into);
    for (size_t row = 0; row < table_rows(self); row++)
        s_line(self, widths, vec_at(&self->cells, row * self->n_columns), into);
}
