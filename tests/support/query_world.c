/* query_world - see query_world.h */
#include "tests/support/query_world.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/segment/flush.h"
#include "core/simd/half.h"

enum { N_KEYS = 120, N_GROUPS = 9 };

static schema_t *s_schema(type_t pk)
{
    const field_t fields[W_FIELDS] = {
        [W_ID] = { .id = 100, .name = "id", .type = pk, .max_length = 32, .primary_key = true },
        [W_TAG] = { .id = 101, .name = "tag", .type = TYPE_INT64 },
        [W_NUM] = { .id = 102, .name = "num", .type = TYPE_INT32 },
        [W_TEXT] = { .id = 103, .name = "text", .type = TYPE_VARCHAR, .max_length = 64,
                     .nullable = true },
        [W_GROUP] = { .id = 104, .name = "g", .type = TYPE_INT32, .nullable = true },
        [W_KIND] = { .id = 105, .name = "kind", .type = TYPE_VARCHAR, .max_length = 64 },
        [W_F32] = { .id = 106, .name = "f32", .type = TYPE_FLOAT_VECTOR, .dim = WORLD_DIM },
        [W_F16] = { .id = 107, .name = "f16", .type = TYPE_FLOAT16_VECTOR, .dim = 6,
                    .nullable = true },
        [W_BF16] = { .id = 108, .name = "bf16", .type = TYPE_BFLOAT16_VECTOR, .dim = 3 },
        [W_I8] = { .id = 109, .name = "i8", .type = TYPE_INT8_VECTOR, .dim = 7 },
        [W_BITS] = { .id = 110, .name = "bits", .type = TYPE_BINARY_VECTOR, .dim = 24 },
        [W_SPARSE] = { .id = 111, .name = "sparse", .type = TYPE_SPARSE_VECTOR,
                       .nullable = true },
    };
    return schema_new(fields, ARRAY_LEN(fields));
}

/* --- rows ------------------------------------------ */

static size_t s_sparse_cell(rng_t *rng, uint8_t *room)
{
    size_t len = 0;
    for (uint32_t index = 0; index < 12; index++)
        if (rng_chance(rng, 0.3)) {
            float value = (float)(1 + rng_below(rng, 3));
            store_u32(room + len, index * 1000);
            memcpy(room + len + 4, &value, 4);
            len += 8;
        }
    return len;
}

void world_vector(rng_t *rng, const field_t *field, column_builder_t *into)
{
    uint8_t room[256];
    size_t len = type_width(field->type, field->dim);
    if (field->type == TYPE_SPARSE_VECTOR)
        len = s_sparse_cell(rng, room);
    for (size_t i = 0; field->type == TYPE_BINARY_VECTOR && i < len; i++)
        room[i] = (uint8_t)(rng_below(rng, 4) | rng_below(rng, 3) << 6);
    for (size_t i = 0; type_is_dense_vector(field->type) && i < (size_t)field->dim; i++) {
        float value = (float)rng_below(rng, 5) - 2;
        if (field->type == TYPE_FLOAT_VECTOR)
            memcpy(room + 4 * i, &value, 4);
        else if (field->type == TYPE_FLOAT16_VECTOR)
            store_u16(room + 2 * i, half_f16_from_f32(value));
        else if (field->type == TYPE_BFLOAT16_VECTOR)
            store_u16(room + 2 * i, half_bf16_from_f32(value));
        else if (field->type == TYPE_INT8_VECTOR)
            room[i] = (uint8_t)(int8_t)value;
    }
    column_builder_add(into, view_of(room, len));
}

static void s_add_scalar(world_t *self, size_t f, uint64_t key, column_builder_t *into)
{
    uint8_t room[64];
    if (f == W_ID) {
        column_builder_add(into, random_rows_key(schema_pk(self->schema)->type, key, room));
        return;
    }
    if (f == W_TAG) {
        store_i64(room, (int64_t)self->n);
        column_builder_add(into, view_of(room, 8));
        return;
    }
    uint32_t number = (uint32_t)(f == W_GROUP ? key % N_GROUPS : rng_below(&self->rng, 20));
    bool text = f == W_TEXT || f == W_KIND;
    if ((f == W_GROUP && number == 4) || (f == W_TEXT && number < 6))
        column_builder_add_null(into);
    else if (!text)
        column_builder_add(into, view_of(&number, 4));
    else
        column_builder_add(into, view_of(room, (size_t)snprintf((char *)room, sizeof room, "t%u",
            f == W_KIND ? (unsigned)(key % N_GROUPS / 2) : (unsigned)number)));
}

static void s_add_row(world_t *self, uint64_t key, uint64_t ts, bool inserted)
{
    check(self->n < WORLD_ROWS);
    for (size_t f = 0; f < W_FIELDS; f++) {
        const field_t *field = schema_at(self->schema, f);
        column_builder_t *into = &self->rows.builders[f];
        if (!type_is_vector(field->type))
            s_add_scalar(self, f, key, into);
        else if (field->nullable && rng_chance(&self->rng, 0.2))
            column_builder_add_null(into);
        else
            world_vector(&self->rng, field, into);
    }
    self->ts[self->n] = ts;
    self->inserted[self->n++] = inserted;
}

void world_init(world_t *self, type_t pk, uint64_t seed, size_t n_ops)
{
    *self = (world_t){ .schema = s_schema(pk), .store = store_memory_new(), .next_segment = 1 };
    ctx_init(&self->ctx);
    rng_seed(&self->rng, seed);
    random_rows_init(&self->rows, self->schema);
    for (uint64_t ts = 10; self->n_ops < n_ops; ts += 2) {
        uint64_t kind = rng_below(&self->rng, 8);
        world_op_t op = { .ts = ts, .deletes = kind < 3, .inserts = kind != 0, .first = self->n,
                          .n = rng_below(&self->rng, op.deletes ? 8 : 40) };
        for (size_t i = 0; i < op.n; i++)
            s_add_row(self, rng_below(&self->rng, N_KEYS), ts, op.inserts);
        self->ops[self->n_ops++] = op;
    }
    for (size_t f = 0; f < W_FIELDS; f++)
        self->rows.columns[f] = column_builder_view(&self->rows.builders[f]);
}

void world_fini(world_t *self)
{
    random_rows_fini(&self->rows);
    schema_unref(&self->schema);
    store_destroy(&self->store);
    ctx_fini(&self->ctx);
}

bool world_visible(const world_t *self, size_t row, uint64_t read_ts)
{
    if (!self->inserted[row] || self->ts[row] > read_ts)
        return false;
    view_t pk = column_cell(&self->rows.columns[W_ID], row);
    for (size_t i = 0; i < self->n_ops; i++) {
        const world_op_t *op = &self->ops[i];
        for (size_t k = op->first; op->deletes && op->ts <= read_ts && op->ts > self->ts[row] &&
                                   k < op->first + op->n; k++)
            if (view_eq(pk, column_cell(&self->rows.columns[W_ID], k)))
                return false;
    }
    return true;
}

/* --- layouts ------------------------------------------ */

/* Rows of an op as columns of their own. */
static void s_batch(const world_t *world, const world_op_t *op, random_rows_t *ret)
{
    random_rows_init(ret, world->schema);
    for (size_t row = op->first; row < op->first + op->n; row++)
        random_rows_copy(ret, world->rows.columns, row);
}

static growing_t *s_grow(world_t *world, size_t segment, size_t n_segments, size_t delete_until)
{
    growing_t *g = growing_new(world->schema, (segment_id_t){ 1, 2, world->next_segment++ });
    for (size_t i = 0; i < world->n_ops; i++) {
        const world_op_t *op = &world->ops[i];
        random_rows_t batch;
        s_batch(world, op, &batch);
        if (op->deletes && i < delete_until)
            check(growing_delete(&world->ctx, g, &batch.columns[W_ID], op->ts, NULL) == OK);
        if (op->inserts && i * 7 % n_segments == segment)
            check(growing_append(&world->ctx, g, batch.columns, op->ts) == OK);
        random_rows_fini(&batch);
    }
    return g;
}

/* Index type and metric of a field; those change from segment to segment. */
static void s_index_params(size_t f, uint64_t segment, index_pair_t *type, index_pair_t *metric)
{
    static const char *const metrics[] = { "L2", "IP", "COSINE" };
    *type = (index_pair_t){ "index_type", "IVF_FLAT" };
    *metric = (index_pair_t){ "metric_type", metrics[segment % 3] };
    if (f == W_BITS) {
        type->value = "BIN_IVF_FLAT";
        metric->value = segment % 2 ? "HAMMING" : "JACCARD";
    } else if (f == W_SPARSE) {
        type->value = segment % 2 ? "SPARSE_INVERTED_INDEX" : "SPARSE_WAND";
        metric->value = "IP";
    }
}

/* An index of each vector field. */
static void s_index(world_t *world, const sealed_files_t *files, sealed_t *s)
{
    uint64_t segment = files->id.segment;
    for (size_t f = W_F32; f <= W_SPARSE; f++) {
        field_index_t *index = NULL;
        index_built_t built;
        index_pair_t params[] = { { "params", "{\"nlist\": 16}" }, { NULL, NULL }, { NULL, NULL } };
        s_index_params(f, segment, &params[1], &params[2]);
        field_index_job_t job = {
            .segment = segment, .n_rows = files->n_rows, .field = schema_at(world->schema, f),
            .binlogs = files->binlogs, .n_binlogs = files->n_parts * (W_FIELDS + 1),
            .params = params, .n_params = ARRAY_LEN(params), .seed = segment,
            .prefix = ctx_printf(&world->ctx, "index/%zu/%llu", f, (unsigned long long)segment),
        };
        check(field_index_build(&world->ctx, world->store, &job, &built) == OK);
        const char *objects[4];
        check(built.n_objects <= ARRAY_LEN(objects));
        for (size_t i = 0; i < built.n_objects; i++)
            objects[i] = ctx_printf(&world->ctx, "%s/%zu", job.prefix, i);
        check(field_index_open(&world->ctx, world->store, NULL, objects, built.n_objects,
                               job.field, sealed_rows(s), &index) == OK);
        sealed_set_index(s, f, &index);
    }
}

/* An index of each scalar field; of which type, changes too. */
static void s_index_scalars(world_t *world, const sealed_files_t *files, sealed_t *s)
{
    static const char *const types[] = { "INVERTED", "BITMAP", "STL_SORT", "Trie", "AUTOINDEX" };
    uint64_t segment = files->id.segment;
    for (size_t f = 0; f < W_F32; f++) {
        const field_t *field = schema_at(world->schema, f);
        field_scalar_t *scalar = NULL;
        index_built_t built;
        size_t type = (segment + f) % ARRAY_LEN(types);
        while (!field_scalar_made(field->type, field->element, types[type]))
            type = (type + 1) % ARRAY_LEN(types);
        index_pair_t params[] = { { "index_type", types[type] } };
        field_index_job_t job = {
            .segment = segment, .n_rows = files->n_rows, .field = field,
            .binlogs = files->binlogs, .n_binlogs = files->n_parts * (W_FIELDS + 1),
            .params = params, .n_params = ARRAY_LEN(params), .seed = segment,
            .prefix = ctx_printf(&world->ctx, "index/%zu/%llu", f, (unsigned long long)segment),
        };
        check(field_scalar_build(&world->ctx, world->store, &job, &built) == OK);
        check(built.n_objects == 1 && built.rows == files->n_rows);
        const char *object = ctx_printf(&world->ctx, "%s/0", job.prefix);
        check(field_scalar_open(&world->ctx, world->store, NULL, &object, 1, field,
                                sealed_rows(s), &scalar) == OK);
        sealed_set_scalar(s, f, &scalar);
    }
}

static sealed_t *s_seal(world_t *world, growing_t *g, size_t delete_from)
{
    owned(flush) flush = NULL;
    sealed_t *s = NULL;
    flush_options_t options = { .attempt = 1, .part_bytes = 6000 };
    check(flush_growing(&world->ctx, g, UINT64_MAX, &options, &flush) == OK);
    check(flush_put(&world->ctx, flush, world->store) == OK);
    check(sealed_open(&world->ctx, world->store, world->schema, flush_files(flush), false, &s) ==
          OK);
    if (world->indexed) {
        s_index(world, flush_files(flush), s);
        s_index_scalars(world, flush_files(flush), s);
    }
    for (size_t i = delete_from; i < world->n_ops; i++) {
        const world_op_t *op = &world->ops[i];
        random_rows_t batch;
        s_batch(world, op, &batch);
        uint64_t ts[64];
        for (size_t k = 0; k < op->n; k++)
            ts[k] = op->ts;
        if (op->deletes)
            check(sealed_delete(&world->ctx, s, &batch.columns[W_ID], ts, NULL) == OK);
        random_rows_fini(&batch);
    }
    return s;
}

void layout_init(layout_t *self, world_t *world, size_t n, unsigned sealed)
{
    *self = (layout_t){ .n = n };
    for (size_t i = 0; i < n; i++) {
        bool seal = sealed >> i & 1;
        size_t until = seal ? world->n_ops * 2 / 3 : world->n_ops;
        growing_t *g = s_grow(world, i, n, until);
        if (seal && growing_rows(g)) {
            self->sources[i].sealed = s_seal(world, g, until);
            growing_unref(&g);
        } else {
            self->sources[i].growing = g;
        }
    }
}

void layout_fini(layout_t *self)
{
    for (size_t i = 0; i < self->n; i++) {
        growing_unref(&self->sources[i].growing);
        sealed_unref(&self->sources[i].sealed);
    }
}

/* --- the model ------------------------------------------ */

const char *world_filter(const world_t *self, size_t i)
{
    bool numbers = schema_pk(self->schema)->type == TYPE_INT64;
    const char *filters[] = {
        "", "num < 3", "num >= 3", "text is not null", "g == 2 or kind == \"t1\"", "num > 100",
        numbers ? "id in [-20, 1, 15, 50, 400, 1000000]" :
                  "id in [\"key-0\", \"key-21\", \"key-35\", \"key-70\", \"key-420\", \"x\"]",
    };
    return i < ARRAY_LEN(filters) ? filters[i] : NULL;
}

bool world_takes(const world_t *self, size_t i, size_t row)
{
    const column_t *c = self->rows.columns;
    uint32_t num = load_u32(column_cell(&c[W_NUM], row).ptr);
    bool group = !column_is_null(&c[W_GROUP], row) &&
                 load_u32(column_cell(&c[W_GROUP], row).ptr) == 2;
    static const uint64_t keys[] = { 0, 3, 5, 10, 60 };
    bool listed = false;
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        uint8_t room[32];
        listed = listed || view_eq(column_cell(&c[W_ID], row),
                                   random_rows_key(schema_pk(self->schema)->type, keys[k], room));
    }
    const bool takes[] = {
        true, num < 3, num >= 3, !column_is_null(&c[W_TEXT], row),
        group || view_eq(column_cell(&c[W_KIND], row), view_str("t1")), false, listed,
    };
    check(i < ARRAY_LEN(takes));
    return takes[i];
}

static double s_value(type_t type, view_t cell, size_t i)
{
    float value;
    switch ((int)type) {
    case TYPE_FLOAT_VECTOR:
        memcpy(&value, cell.ptr + 4 * i, 4);
        return value;
    case TYPE_FLOAT16_VECTOR:
        return half_f32_from_f16(load_u16(cell.ptr + 2 * i));
    case TYPE_BFLOAT16_VECTOR:
        return half_f32_from_bf16(load_u16(cell.ptr + 2 * i));
    case TYPE_INT8_VECTOR:
        return (int8_t)cell.ptr[i];
    default:
        return cell.ptr[i / 8] >> i % 8 & 1;
    }
}

static float s_sparse_score(view_t q, view_t r)
{
    double sum = 0;
    for (size_t i = 0; i < q.len; i += 8)
        for (size_t j = 0; j < r.len; j += 8)
            if (load_u32(q.ptr + i) == load_u32(r.ptr + j)) {
                float a, b;
                memcpy(&a, q.ptr + i + 4, 4);
                memcpy(&b, r.ptr + j + 4, 4);
                sum += (double)a * b;
            }
    return (float)sum;
}

static float s_inverse(double norm2)
{
    return norm2 > 0 ? 1 / sqrtf((float)norm2) : 0;
}

float world_score(const world_t *self, size_t field, metric_t metric, const column_t *queries,
                  size_t q, size_t row)
{
    const field_t *f = schema_at(self->schema, field);
    view_t a = column_cell(queries, q), b = column_cell(&self->rows.columns[field], row);
    if (f->type == TYPE_SPARSE_VECTOR)
        return s_sparse_score(a, b);
    double l2 = 0, ip = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < (size_t)f->dim; i++) {
        double x = s_value(f->type, a, i), y = s_value(f->type, b, i);
        l2 += (x - y) * (x - y);
        ip += x * y;
        aa += x * x;
        bb += y * y;
    }
    if (metric == METRIC_L2 || metric == METRIC_HAMMING)
        return (float)l2;
    if (metric == METRIC_IP)
        return (float)ip;
    if (metric == METRIC_JACCARD)
        return aa + bb > 0 ? 1 - (float)ip / (float)(aa + bb - ip) : 1;
    float score = (float)ip * s_inverse(bb) * s_inverse(aa);
    return score > 1 ? 1 : score < -1 ? -1 : score + 0.0f;
}

/* --- threads ------------------------------------------ */

typedef struct crew {
    world_part_fn *run;
    void *arg;
    size_t *order;
    size_t n;
    _Atomic size_t next;
    _Atomic int err;
} crew_t;

static void *s_member(void *arg)
{
    crew_t *crew = arg;
    ctx_t ctx;
    ctx_init(&ctx);
    for (size_t i; (i = atomic_fetch_add(&crew->next, 1)) < crew->n; ) {
        err_t err = crew->run(&ctx, crew->arg, crew->order[i]);
        if (err != OK) {
            int none = OK;
            atomic_compare_exchange_strong(&crew->err, &none, (int)err);
        }
    }
    ctx_fini(&ctx);
    return NULL;
}

err_t world_run(uint64_t seed, size_t n_threads, world_part_fn *run, void *arg, size_t n)
{
    crew_t crew = { .run = run, .arg = arg, .n = n, .order = mem_new(n * sizeof(size_t)) };
    rng_t rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)rng_below(&rng, i + 1);
        crew.order[i] = crew.order[at];
        crew.order[at] = i;
    }
    pthread_t threads[8];
    check(n_threads <= ARRAY_LEN(threads));
    for (size_t i = 1; i < n_threads; i++)
        check(pthread_create(&threads[i], NULL, s_member, &crew) == 0);
    s_member(&crew);
    for (size_t i = 1; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    mem_free(crew.order);
    return (err_t)atomic_load(&crew.err);
}
