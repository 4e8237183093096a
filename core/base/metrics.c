/* metrics - families in a list, cells in a map each; see metrics.h
 *
 * One mutex (a leaf) guards the shape: which families and cells exist.  What
 * cells count is atomic and read without it being stopped, so a histogram that
 * is written out while it is being updated may have its sum one observation
 * ahead of its count; the count is always the sum of its buckets.
 */
#include "core/base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/hostinfo.h"
#include "core/base/limits.h"
#include "core/base/map.h"
#include "core/base/utf8.h"
#include "core/base/vec.h"

typedef enum { COUNTER, GAUGE, COUNTER_FN, GAUGE_FN, HISTOGRAM } kind_t;

struct metrics_cell {
    metrics_family_t *family;
    char *values[LIMIT_METRICS_LABELS];
    bool hidden, marked;        /* under the registry's lock */
    _Atomic uint64_t count;     /* counter */
    _Atomic double real;        /* gauge; histogram: sum */
    _Atomic uint64_t buckets[]; /* histogram: [n_bounds + 1], not cumulative */
};

struct metrics_family {
    metrics_t *registry;
    kind_t kind;
    char *name, *help;
    char *labels[LIMIT_METRICS_LABELS];
    size_t n_labels;
    const double *bounds;
    size_t n_bounds;
    double (*fn)(void *arg);
    void *fn_arg;
    map_t *by_values;           /* label values, each with its NUL → cell */
    vec_t cells;                /* metrics_cell_t *, in the order they came */
};

struct metrics {
    pthread_mutex_t lock;
    vec_t families;             /* metrics_family_t * */
};

const double metrics_latency_ms[METRICS_LATENCY_N] = {
    5, 10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1500, 3000, 10000, 60000,
};

/* --- registry -------------------------------------------------------------- */

metrics_t *metrics_new(void)
{
    metrics_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    vec_init(&self->families, sizeof(metrics_family_t *));
    return self;
}

static void s_free_family(metrics_family_t *family)
{
    for (size_t i = 0; i < family->cells.len; i++) {
        metrics_cell_t *cell = *(metrics_cell_t **)vec_at(&family->cells, i);
        for (size_t k = 0; k < family->n_labels; k++)
            mem_free(cell->values[k]);
        mem_free(cell);
    }
    for (size_t k = 0; k < family->n_labels; k++)
        mem_free(family->labels[k]);
    vec_fini(&family->cells);
    map_destroy(&family->by_values);
    mem_free(family->name);
    mem_free(family->help);
    mem_free(family);
}

void metrics_destroy(metrics_t **self_p)
{
    metrics_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->families.len; i++)
        s_free_family(*(metrics_family_t **)vec_at(&self->families, i));
    vec_fini(&self->families);
    pthread_mutex_destroy(&self->lock);
    mem_free(self);
    *self_p = NULL;
}

/* --- families -------------------------------------------------------------- */

static bool s_is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
    return len > 0 && name[len] == '\0' && (name[0] < '0' || name[0] > '9');
}

static void s_set_labels(metrics_family_t *family, const char *labels)
{
    char *rest = mem_strdup(labels ? labels : ""), *copy = rest;
    for (char *name; *copy && (name = strsep(&rest, ",")) != NULL; ) {
        check(s_is_name(name) && family->n_labels < LIMIT_METRICS_LABELS);
        family->labels[family->n_labels++] = mem_strdup(name);
    }
    mem_free(copy);
}

static metrics_family_t *s_find_family(metrics_t *self, const char *name)
{
    for (size_t i = 0; i < self->families.len; i++) {
        metrics_family_t *family = *(metrics_family_t **)vec_at(&self->families, i);
        if (strcmp(family->name, name) == 0)
            return family;
    }
    return NULL;
}

static bool s_same_labels(const metrics_family_t *family, const char *labels)
{
    const char *at = labels ? labels : "";
    for (size_t k = 0; k < family->n_labels; k++) {
        size_t len = strlen(family->labels[k]);
        if (strncmp(at, family->labels[k], len) != 0 || (at[len] != ',' && at[len] != '\0'))
            return false;
        at += len + (at[len] == ',');
    }
    return *at == '\0';
}

static metrics_family_t *s_family(metrics_t *self, kind_t kind, const char *name, const char *help,
                                  const char *labels)
{
    check(s_is_name(name));
    if (!self)
        return NULL;
    pthread_mutex_lock(&self->lock);
    metrics_family_t *family = s_find_family(self, name);
    if (family) {
        check(family->kind == kind && s_same_labels(family, labels));
    } else {
        family = mem_new(sizeof *family);
        *family = (metrics_family_t){ .registry = self, .kind = kind, .name = mem_strdup(name),
                                      .help = mem_strdup(help), .by_values = map_new() };
        vec_init(&family->cells, sizeof(metrics_cell_t *));
        s_set_labels(family, labels);
        vec_push(&self->families, &family);
    }
    pthread_mutex_unlock(&self->lock);
    return family;
}

metrics_family_t *metrics_counter(metrics_t *self, const char *name, const char *help,
                                  const char *labels)
{
    return s_family(self, COUNTER, name, help, labels);
}

metrics_family_t *metrics_gauge(metrics_t *self, const char *name, const char *help,
                                const char *labels)
{
    return s_family(self, GAUGE, name, help, labels);
}

metrics_family_t *metrics_histogram(metrics_t *self, const char *name, const char *help,
                                    const char *labels, const double *bounds, size_t n)
{
    check(n > 0);
    metrics_family_t *family = s_family(self, HISTOGRAM, name, help, labels);
    if (!family)
        return NULL;
    pthread_mutex_lock(&self->lock);
    check(family->cells.len == 0 || family->n_bounds == n);
    family->bounds = bounds;
    family->n_bounds = n;
    pthread_mutex_unlock(&self->lock);
    return family;
}

static void s_set_fn(metrics_family_t *family, double (*fn)(void *arg), void *arg)
{
    if (!family)
        return;
    pthread_mutex_lock(&family->registry->lock);
    family->fn = fn;
    family->fn_arg = arg;
    pthread_mutex_unlock(&family->registry->lock);
}

void metrics_gauge_fn(metrics_t *self, const char *name, const char *help,
                      double (*fn)(void *arg), void *arg)
{
    s_set_fn(s_family(self, GAUGE_FN, name, help, NULL), fn, arg);
}

void metrics_counter_fn(metrics_t *self, const char *name, const char *help,
                        double (*fn)(void *arg), void *arg)
{
    s_set_fn(s_family(self, COUNTER_FN, name, help, NULL), fn, arg);
}

/* --- cells ----------------------------------------------------------------- */

/* The values in a row, each cut to LIMIT_NAME_BYTES and with its NUL. */
typedef struct {
    char text[LIMIT_METRICS_LABELS * (LIMIT_NAME_BYTES + 1)];
    size_t len;
} cell_key_t;

static void s_key(const metrics_family_t *family, const char *const *values, cell_key_t *ret)
{
    ret->len = 0;
    for (size_t k = 0; k < family->n_labels; k++) {
        size_t part = strnlen(values[k], LIMIT_NAME_BYTES);
        memcpy(ret->text + ret->len, values[k], part);
        ret->text[ret->len + part] = '\0';
        ret->len += part + 1;
    }
}

static void s_zero(metrics_cell_t *cell)
{
    atomic_store(&cell->count, 0);
    atomic_store(&cell->real, 0);
    for (size_t i = 0; cell->family->kind == HISTOGRAM && i <= cell->family->n_bounds; i++)
        atomic_store(&cell->buckets[i], 0);
}

static void s_enter(metrics_cell_t *cell, const cell_key_t *key)
{
    const char *value = key->text;
    for (size_t k = 0; k < cell->family->n_labels; k++, value += strlen(value) + 1)
        cell->values[k] = mem_strdup(value);
    map_put(cell->family->by_values, view_of(key->text, key->len), cell);
}

static metrics_cell_t *s_new_cell(metrics_family_t *family, const cell_key_t *key)
{
    size_t n_buckets = family->kind == HISTOGRAM ? family->n_bounds + 1 : 0;
    metrics_cell_t *cell = mem_new(sizeof *cell + n_buckets * sizeof cell->buckets[0]);
    cell->family = family;
    vec_push(&family->cells, &cell);
    s_enter(cell, key);
    return cell;
}

/* A full family gives the cell of a collection that was dropped to one that was made. */
static metrics_cell_t *s_take_hidden(metrics_family_t *family, const cell_key_t *key)
{
    for (size_t i = 0; i < family->cells.len; i++) {
        metrics_cell_t *cell = *(metrics_cell_t **)vec_at(&family->cells, i);
        if (!cell->hidden)
            continue;
        cell_key_t old;
        s_key(family, (const char *const *)cell->values, &old);
        map_del(family->by_values, view_of(old.text, old.len));
        for (size_t k = 0; k < family->n_labels; k++)
            mem_free(cell->values[k]);
        s_enter(cell, key);
        return cell;
    }
    return NULL;
}

/* NULL when there is no such cell and no room for it among `most`. */
static metrics_cell_t *s_find_cell(metrics_family_t *family, const char *const *values, size_t most)
{
    cell_key_t key;
    s_key(family, values, &key);
    metrics_cell_t *cell = map_get(family->by_values, view_of(key.text, key.len));
    if (!cell)
        cell = family->cells.len < most ? s_new_cell(family, &key) : s_take_hidden(family, &key);
    return cell;
}

metrics_cell_t *metrics_cell_at(metrics_family_t *family, const char *const *values, size_t n)
{
    static const char *const other[LIMIT_METRICS_LABELS] = {
        "other", "other", "other", "other", "other", "other", "other", "other" };
    if (!family)
        return NULL;
    check(n == family->n_labels && family->kind != GAUGE_FN && family->kind != COUNTER_FN);
    size_t most = family->kind == HISTOGRAM ? LIMIT_METRICS_HISTOGRAMS : LIMIT_METRICS_CELLS;
    pthread_mutex_lock(&family->registry->lock);
    metrics_cell_t *cell = s_find_cell(family, values, most);
    if (!cell)
        cell = s_find_cell(family, other, most + 1);
    if (cell->hidden) {
        cell->hidden = false;
        s_zero(cell);
    }
    cell->marked = false;
    pthread_mutex_unlock(&family->registry->lock);
    return cell;
}

static void s_mark(metrics_family_t *family, bool sweep)
{
    if (!family)
        return;
    pthread_mutex_lock(&family->registry->lock);
    for (size_t i = 0; i < family->cells.len; i++) {
        metrics_cell_t *cell = *(metrics_cell_t **)vec_at(&family->cells, i);
        cell->hidden |= sweep && cell->marked;
        cell->marked = !sweep;
    }
    pthread_mutex_unlock(&family->registry->lock);
}

void metrics_mark(metrics_family_t *gauge)
{
    s_mark(gauge, false);
}

void metrics_sweep(metrics_family_t *gauge)
{
    s_mark(gauge, true);
}

void metrics_forget(metrics_t *self, const char *label, const char *value)
{
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < self->families.len; i++) {
        metrics_family_t *family = *(metrics_family_t **)vec_at(&self->families, i);
        for (size_t k = 0; k < family->n_labels; k++) {
            if (strcmp(family->labels[k], label) != 0)
                continue;
            for (size_t c = 0; c < family->cells.len; c++) {
                metrics_cell_t *cell = *(metrics_cell_t **)vec_at(&family->cells, c);
                cell->hidden |= strncmp(cell->values[k], value, LIMIT_NAME_BYTES) == 0;
            }
        }
    }
    pthread_mutex_unlock(&self->lock);
}

/* --- counting -------------------------------------------------------------- */

static void s_add_real(_Atomic double *to, double by)
{
    double seen = atomic_load_explicit(to, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(to, &seen, seen + by, memory_order_relaxed,
                                                  memory_order_relaxed))
        continue;
}

void metrics_add(metrics_cell_t *counter, uint64_t n)
{
    if (!counter)
        return;
    check(counter->family->kind == COUNTER);
    atomic_fetch_add_explicit(&counter->count, n, memory_order_relaxed);
}

void metrics_set(metrics_cell_t *gauge, double value)
{
    if (!gauge)
        return;
    check(gauge->family->kind == GAUGE);
    atomic_store_explicit(&gauge->real, value, memory_order_relaxed);
}

void metrics_shift(metrics_cell_t *gauge, double by)
{
    if (!gauge)
        return;
    check(gauge->family->kind == GAUGE);
    s_add_real(&gauge->real, by);
}

void metrics_observe(metrics_cell_t *histogram, double value)
{
    if (!histogram)
        return;
    const metrics_family_t *family = histogram->family;
    check(family->kind == HISTOGRAM);
    size_t i = 0;
    while (i < family->n_bounds && value > family->bounds[i])
        i++;
    atomic_fetch_add_explicit(&histogram->buckets[i], 1, memory_order_relaxed);
    s_add_real(&histogram->real, value);
}

int64_t metrics_began(const metrics_t *self)
{
    return self ? clock_mono_us() : 0;
}

double metrics_took_ms(metrics_cell_t *histogram, int64_t began_us)
{
    if (!histogram)
        return 0;
    double took_ms = (double)(clock_mono_us() - began_us) / 1000;
    metrics_observe(histogram, took_ms);
    return took_ms;
}

double metrics_value(const metrics_cell_t *cell)
{
    if (!cell)
        return 0;
    if (cell->family->kind == GAUGE)
        return atomic_load_explicit(&cell->real, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&cell->count, memory_order_relaxed);
    for (size_t i = 0; cell->family->kind == HISTOGRAM && i <= cell->family->n_bounds; i++)
        count += atomic_load_explicit(&cell->buckets[i], memory_order_relaxed);
    return (double)count;
}

/* --- writing --------------------------------------------------------------- */

static void s_write_escaped_char(buf_t *into, char c, bool quotes)
{
    if (c == '\n')
        buf_add_str(into, "\\n");
    else if (c == '\\' || (c == '"' && quotes))
        buf_addf(into, "\\%c", c);
    else
        buf_add(into, &c, 1);
}

/* Bytes that are not UTF-8 become '?': a scraper throws the whole page away for one. */
static void s_write_escaped(buf_t *into, const char *text, bool quotes)
{
    view_t rest = view_str(text);
    while (rest.len) {
        size_t good = utf8_valid_len(rest), bad = good < rest.len;
        for (size_t i = 0; i < good; i++)
            s_write_escaped_char(into, (char)rest.ptr[i], quotes);
        if (bad)
            buf_add_str(into, "?");
        rest = view_of(rest.ptr + good + bad, rest.len - good - bad);
    }
}

/* The shortest decimal that reads back as v. */
static void s_write_fraction(buf_t *into, double v)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_add_str(into, text);
}

static void s_write_number(buf_t *into, double v)
{
    if (isnan(v))
        buf_add_str(into, "NaN");
    else if (isinf(v))
        buf_add_str(into, v > 0 ? "+Inf" : "-Inf");
    else if (v == floor(v) && fabs(v) < 1e15)
        buf_addf(into, "%.0f", v);
    else
        s_write_fraction(into, v);
}

/* {a="x",b="y",le="5"}; le NULL: without. */
static void s_write_labels(buf_t *into, const metrics_cell_t *cell, const double *le)
{
    size_t n = cell->family->n_labels;
    if (n == 0 && !le)
        return;
    buf_add_str(into, "{");
    for (size_t k = 0; k < n; k++) {
        buf_addf(into, "%s%s=\"", k ? "," : "", cell->family->labels[k]);
        s_write_escaped(into, cell->values[k], true);
        buf_add_str(into, "\"");
    }
    if (le) {
        buf_add_str(into, n ? ",le=\"" : "le=\"");
        s_write_number(into, *le);
        buf_add_str(into, "\"");
    }
    buf_add_str(into, "}");
}

static void s_write_line(buf_t *into, const metrics_cell_t *cell, const char *suffix,
                         const double *le, double value)
{
    buf_addf(into, "%s%s", cell->family->name, suffix);
    s_write_labels(into, cell, le);
    buf_add_str(into, " ");
    s_write_number(into, value);
    buf_add_str(into, "\n");
}

static void s_write_histogram(buf_t *into, const metrics_cell_t *cell)
{
    const metrics_family_t *family = cell->family;
    double below = 0;
    for (size_t i = 0; i <= family->n_bounds; i++) {
        double le = i < family->n_bounds ? family->bounds[i] : INFINITY;
        below += (double)atomic_load_explicit(&cell->buckets[i], memory_order_relaxed);
        s_write_line(into, cell, "_bucket", &le, below);
    }
    s_write_line(into, cell, "_sum", NULL, atomic_load_explicit(&cell->real, memory_order_relaxed));
    s_write_line(into, cell, "_count", NULL, below);
}

static void s_write_head(buf_t *into, const char *name, const char *help, const char *type)
{
    buf_addf(into, "# HELP %s ", name);
    s_write_escaped(into, help, false);
    buf_addf(into, "\n# TYPE %s %s\n", name, type);
}

static void s_write_family(buf_t *into, metrics_family_t *family)
{
    static const char *const types[] = { "counter", "gauge", "counter", "gauge", "histogram" };
    s_write_head(into, family->name, family->help, types[family->kind]);
    if (family->kind == GAUGE_FN || family->kind == COUNTER_FN) {
        buf_addf(into, "%s ", family->name);
        s_write_number(into, family->fn(family->fn_arg));
        buf_add_str(into, "\n");
    }
    for (size_t i = 0; i < family->cells.len; i++) {
        const metrics_cell_t *cell = *(metrics_cell_t **)vec_at(&family->cells, i);
        if (cell->hidden)
            continue;
        if (family->kind == HISTOGRAM)
            s_write_histogram(into, cell);
        else
            s_write_line(into, cell, "", NULL, metrics_value(cell));
    }
}

/* The names every Prometheus client library uses. */
static void s_write_process(buf_t *into)
{
    ctx_t ctx;
    ctx_init(&ctx);
    hostinfo_t info;
    if (hostinfo_read(&ctx, NULL, &info) == OK) {
        const struct { const char *name, *help, *type; double value; } rows[] = {
            { "process_cpu_seconds_total", "User and system CPU time.", "counter",
              info.cpu_seconds },
            { "process_resident_memory_bytes", "Resident memory.", "gauge",
              (double)info.rss_bytes },
            { "process_virtual_memory_bytes", "Address space.", "gauge",
              (double)info.virtual_bytes },
            { "process_open_fds", "Open file descriptors.", "gauge", info.open_fds },
            { "process_max_fds", "File descriptors allowed.", "gauge", info.most_fds },
            { "process_threads", "Threads.", "gauge", info.threads },
            { "process_start_time_seconds", "Start, in seconds since 1970.", "gauge",
              (double)info.started_ms / 1000 },
        };
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            s_write_head(into, rows[i].name, rows[i].help, rows[i].type);
            buf_addf(into, "%s ", rows[i].name);
            s_write_number(into, rows[i].value);
            buf_add_str(into, "\n");
        }
    }
    ctx_fini(&ctx);
}

void metrics_write(metrics_t *self, buf_t *into)
{
    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < self->families.len; i++)
        s_write_family(into, *(metrics_family_t **)vec_at(&self->families, i));
    pthread_mutex_unlock(&self->lock);
    s_write_process(into);
}
