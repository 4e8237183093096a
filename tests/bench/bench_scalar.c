/* bench_scalar - filters answered by scalar indexes beside filters that read the column
 *
 *     build/release/bench/bench_scalar [ROUNDS]             11
 *
 * One column of a million rows a line: what its index costs to build and to open, its bytes a
 * row, and for each filter the CPU time over the whole segment, read and answered (estimate,
 * bits, and taking them), the median of rounds that take turns.  A line ends with the ratio, and
 * with what core/query/query_answers.c would do; its costs come from here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/rng.h"
#include "core/query/query_answers.h"
#include "tests/support/scalar_data.h"

enum { ROWS = 1000000, MOST_ROUNDS = 99, FILTERS = 8 };

/* A column, and what is asked of it. */
typedef struct line {
    scalar_type_t type;
    type_t cells, element;
    uint64_t spread;            /* different values, about; 0: each once */
    const char *filters[FILTERS];
} line_t;

#define NUMBERS(n) { "x == 77", "x != 77", "x < " n, "10 <= x < 1000", \
                     "x in [1, 5, 77, 300, 5000, 70000, 1, 2, 3, 4, 9, 12]" }
#define TEXTS { "x == \"user 77\"", "x > \"user 9\"", "x like \"user 77%\"", "x like \"%77\"", \
                "x in [\"user 1\", \"user 5\", \"user 77\", \"user 5000\"]" }
#define LISTS { "array_contains(x, 7)", "array_contains_all(x, [7, 11])", \
                "array_contains_any(x, [1, 2, 3, 4, 5])" }

static const line_t s_lines[] = {
    { SCALAR_SORT, TYPE_INT64, TYPE_NONE, 0, NUMBERS("500000") },
    { SCALAR_SORT, TYPE_DOUBLE, TYPE_NONE, 100000, NUMBERS("50000") },
    { SCALAR_INVERTED, TYPE_INT64, TYPE_NONE, 0, NUMBERS("500000") },
    { SCALAR_INVERTED, TYPE_INT32, TYPE_NONE, 1000, NUMBERS("500") },
    { SCALAR_INVERTED, TYPE_INT32, TYPE_NONE, 100000, NUMBERS("50000") },
    { SCALAR_BITMAP, TYPE_INT16, TYPE_NONE, 100, NUMBERS("50") },
    { SCALAR_BITMAP, TYPE_BOOL, TYPE_NONE, 2, { "x == true", "x != true", "x in [true]" } },
    { SCALAR_INVERTED, TYPE_VARCHAR, TYPE_NONE, 1000, TEXTS },
    { SCALAR_INVERTED, TYPE_VARCHAR, TYPE_NONE, 0, TEXTS },
    { SCALAR_TRIE, TYPE_VARCHAR, TYPE_NONE, 1000, TEXTS },
    { SCALAR_TRIE, TYPE_VARCHAR, TYPE_NONE, 0, TEXTS },
    { SCALAR_BITMAP, TYPE_VARCHAR, TYPE_NONE, 100, TEXTS },
    { SCALAR_INVERTED, TYPE_ARRAY, TYPE_INT32, 1000, LISTS },
    { SCALAR_BITMAP, TYPE_ARRAY, TYPE_INT32, 100, LISTS },
};

static ctx_t s_ctx;

static double s_cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* --- data --------------------------------------------------------------------------------- */

/* Row i's value: each once in an order of its own, or random ones. */
static uint64_t s_value(const line_t *line, rng_t *rng, uint64_t i)
{
    return line->spread ? rng_below(rng, line->spread) : i * 7919 % ROWS;
}

static void s_add(const line_t *line, uint64_t value, buf_t *cell)
{
    double d = (double)value;
    if (line->cells == TYPE_VARCHAR)
        buf_addf(cell, "user %llu", (unsigned long long)value);
    else if (line->cells == TYPE_DOUBLE)
        buf_add(cell, &d, sizeof d);
    else
        buf_add(cell, &value, type_width(line->cells == TYPE_ARRAY ? line->element : line->cells,
                                         0));
}

static void s_fill(const line_t *line, column_builder_t *into)
{
    rng_t rng;
    rng_seed(&rng, 7);
    for (uint64_t i = 0; i < ROWS; i++) {
        buf_scoped cell = {0};
        uint32_t n = line->cells == TYPE_ARRAY ? 4 : 1;
        if (line->cells == TYPE_ARRAY)
            buf_add_u32(&cell, n);
        for (; n > 0; n--)
            s_add(line, s_value(line, &rng, i), &cell);
        column_builder_add(into, buf_view(&cell));
    }
}

/* --- a filter ----------------------------------------------------------------------------- */

static int s_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double s_median(double *ms, size_t n)
{
    qsort(ms, n, sizeof *ms, s_by_value);
    return ms[n / 2];
}

static double s_read_ms(const expr_t *plan, const column_t *const *columns, bitset_t *bits)
{
    double from = s_cpu_ms();
    check(expr_eval(&s_ctx, plan, columns, ROWS, bits) == OK);
    return s_cpu_ms() - from;
}

static double s_answered_ms(const expr_t *plan, const scalar_index_t *index, bitset_t *bits,
                            scalar_work_t *ret)
{
    const column_t *none[2] = {0};
    expr_ask_t ask;
    bitset_t truth;
    size_t at = 0;
    double from = s_cpu_ms();
    bitset_fill(bits, true);
    check(expr_next_ask(plan, &at, &ask) && scalar_index_estimate(index, &ask, ret));
    check(bitset_init(&s_ctx, &truth, ROWS) == OK);
    check(scalar_index_answer(&s_ctx, index, &ask, &truth) == OK);
    expr_answer_t answer = scalar_index_says(index, &ask, &truth);
    expr_answers_t answers = { .at = &answer, .n = 1, .n_rows = ROWS };
    check(expr_narrow_beside(&s_ctx, plan, none, &answers, ROWS, bits) == OK);
    bitset_fini(&truth);
    return s_cpu_ms() - from;
}

static void s_time(const char *text, schema_t *schema, const column_t *const *columns,
                   const scalar_index_t *index, size_t rounds)
{
    double read[MOST_ROUNDS], answered[MOST_ROUNDS];
    expr_t *plan = NULL;
    bitset_t bits, same;
    scalar_work_t work;
    expr_ask_t ask;
    size_t at = 0;
    check(expr_parse(&s_ctx, view_str(text), schema, NULL, 0, &plan) == OK);
    check(bitset_init(&s_ctx, &bits, ROWS) == OK && bitset_init(&s_ctx, &same, ROWS) == OK);
    for (size_t i = 0; i < rounds; i++) {
        read[i] = s_read_ms(plan, columns, &bits);
        answered[i] = s_answered_ms(plan, index, &same, &work);
    }
    check(memcmp(bits.words, same.words, (ROWS + 63) / 64 * 8) == 0);
    double slow = s_median(read, rounds), fast = s_median(answered, rounds);
    bool asked = expr_next_ask(plan, &at, &ask) &&
                 answers_is_cheaper(schema, ROWS, &ask, &work);
    printf("    %-52s %8zu rows  read %8.3f ms  answered %8.3f ms  %8.1f x  %s\n", text,
           bitset_count(&bits), slow, fast, slow / fast, asked ? "answered" : "read");
    bitset_fini(&bits);
    bitset_fini(&same);
    expr_unref(&plan);
}

/* --- a column ----------------------------------------------------------------------------- */

static void s_run(const line_t *line, size_t rounds)
{
    field_t fields[] = {
        { .id = 100, .name = "id", .type = TYPE_INT64, .primary_key = true },
        { .id = 101, .name = "x", .type = line->cells, .element = line->element,
          .max_length = 64, .max_capacity = 8 },
    };
    schema_t *schema = schema_new(fields, ARRAY_LEN(fields));
    column_builder_t built;
    buf_scoped object = {0};
    scalar_index_t *index = NULL;
    void *memory = NULL;
    column_builder_init(&built, &fields[1]);
    s_fill(line, &built);
    column_t column = column_builder_view(&built);
    const column_t *columns[2] = { NULL, &column };
    double from = s_cpu_ms();
    check(scalar_data_build(&s_ctx, line->type, &column, 1, 7, &object) == OK);
    double done = s_cpu_ms();
    check(scalar_data_open(&s_ctx, buf_view(&object), &memory, &index) == OK);
    printf("%s of %s%s, %zu values: built %.0f ms, opened %.1f ms, %.2f bytes a row\n",
           scalar_type_name(line->type), type_name(line->cells),
           line->element ? " of Int32" : "", scalar_index_terms(index), done - from,
           s_cpu_ms() - done, (double)object.len / ROWS);
    for (size_t i = 0; i < FILTERS && line->filters[i]; i++)
        s_time(line->filters[i], schema, columns, index, rounds);
    scalar_index_destroy(&index);
    free(memory);
    column_builder_fini(&built);
    schema_unref(&schema);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 11;
    if (rounds < 1 || rounds > MOST_ROUNDS)
        return fprintf(stderr, "ROUNDS: 1..%d\n", MOST_ROUNDS), 2;
    ctx_init(&s_ctx);
    for (size_t i = 0; i < ARRAY_LEN(s_lines); i++)
        s_run(&s_lines[i], rounds);
    ctx_fini(&s_ctx);
    return 0;
}
