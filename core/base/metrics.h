/* metrics - numbers for Prometheus
 *
 * A registry holds families (a name, its help, its label names), a family has
 * a cell for each combination of label values, and a cell is what the program
 * counts in: find it once, keep the pointer, updating is one atomic add.
 *
 *     metrics_family_t *requests = metrics_counter(m, "milvus_proxy_req_count",
 *                                                  "requests", "node_id,status");
 *     metrics_cell_t *ok = metrics_cell(requests, "7", "success");
 *     metrics_add(ok, 1);
 *
 * A NULL registry counts nowhere: all that is made from it is NULL, and counting in NULL
 * does nothing.  The simulator's nodes have none.
 *
 * Registering a name again returns the family that is there: the roles that
 * standalone hosts share one registry.  A family that has LIMIT_METRICS_CELLS
 * cells, or LIMIT_METRICS_HISTOGRAMS, gives everybody else one cell whose labels
 * all say "other", so a client who makes up names cannot fill the memory.
 */
#ifndef CORE_BASE_METRICS_H
#define CORE_BASE_METRICS_H

#include "core/base/base.h"
#include "core/base/buf.h"

typedef struct metrics metrics_t;
typedef struct metrics_family metrics_family_t;
typedef struct metrics_cell metrics_cell_t;

metrics_t *metrics_new(void);
void metrics_destroy(metrics_t **self_p);       /* with all families and cells */

/* A family; name, help and labels ("a,b", NULL: none) are copied.  Prometheus
 * wants counters to end in _total, Milvus's names win where they exist.
 * The same name with another kind or other labels is a programmer's mistake.  Any thread. */
metrics_family_t *metrics_counter(metrics_t *self, const char *name, const char *help,
                                  const char *labels);
metrics_family_t *metrics_gauge(metrics_t *self, const char *name, const char *help,
                                const char *labels);

/* bounds: [n] upper ends of the buckets, rising; borrowed for ever; +Inf comes by itself. */
metrics_family_t *metrics_histogram(metrics_t *self, const char *name, const char *help,
                                    const char *labels, const double *bounds, size_t n);

/* A gauge without labels whose value is asked for when somebody looks; fn runs under the
 * registry's lock, on the thread that writes: it must be quick and not come back here. */
void metrics_gauge_fn(metrics_t *self, const char *name, const char *help,
                      double (*fn)(void *arg), void *arg);
void metrics_counter_fn(metrics_t *self, const char *name, const char *help,
                        double (*fn)(void *arg), void *arg);

/* Milvus's buckets for latencies, in milliseconds. */
extern const double metrics_latency_ms[];
enum { METRICS_LATENCY_N = 18 };

/* The cell for these label values, one a label, as C strings, cut to LIMIT_NAME_BYTES.  It
 * lives as long as the registry.  Any thread; a lock and a hash: where it is hot, keep
 * the pointer, but not of a cell whose labels may be forgotten: it may serve others then. */
#define metrics_cell(family, ...) \
    metrics_cell_at((family), (const char *const[]){ __VA_ARGS__ }, \
                    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))
metrics_cell_t *metrics_cell_at(metrics_family_t *family, const char *const *values, size_t n);

/* Any thread, wait-free or nearly. */
void metrics_add(metrics_cell_t *counter, uint64_t n);
void metrics_set(metrics_cell_t *gauge, double value);
void metrics_shift(metrics_cell_t *gauge, double by);
void metrics_observe(metrics_cell_t *histogram, double value);

/* A stopwatch: microseconds on a clock for metrics_took_ms, which observes and returns the
 * milliseconds since then.  Without a registry neither asks what time it is, so that a node under
 * the simulator does not. */
int64_t metrics_began(const metrics_t *self);
double metrics_took_ms(metrics_cell_t *histogram, int64_t began_us);

/* Gauges that are worked out anew, all of a family: mark, find and set each that there is, sweep;
 * those that were not found are not shown any more. */
void metrics_mark(metrics_family_t *gauge);
void metrics_sweep(metrics_family_t *gauge);

/* A counter's or gauge's value, a histogram's number of observations. */
double metrics_value(const metrics_cell_t *cell);

/* Stop showing every cell with this label value (a collection was dropped).  A cell still
 * held may be updated; it shows again, from zero, when it is asked for again. */
void metrics_forget(metrics_t *self, const char *label, const char *value);

/* Everything in the text format 0.0.4, and the usual process_* figures. */
void metrics_write(metrics_t *self, buf_t *into);

#endif
