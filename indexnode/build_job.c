/* build_job - see build_job.h */
#include "indexnode/build_job.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/segment/field_scalar.h"
#include "core/wire/pb.h"

struct build_job {
    ctx_t memory;               /* of the question; cancelled from outside */
    build_job_options_t options;
    Elanus__BuildAsk *ask;
    field_t field;              /* names are the question's */
    index_pair_t *params;
    index_spec_t spec;          /* of a vector field; without its seed */
    index_built_t built;
    _Atomic unsigned percent;
};

/* --- the question ------------------------------------------------------------------------ */

static err_t s_check(ctx_t *ctx, const Elanus__BuildAsk *ask)
{
    const Elanus__Segment *segment = ask->segment;
    if (!ask->build || !segment || !ask->field || ask->build->id == 0 || ask->build->attempt == 0)
        return ctx_fail(ctx, ERR_MALFORMED, "a build needs an id, an attempt, a segment and a "
                        "field");
    if (segment->n_binlogs == 0 || segment->rows == 0 || segment->rows > LIMIT_SEGMENT_ROWS)
        return ctx_fail(ctx, ERR_MALFORMED, "a build of segment %" PRIu64 " with %zu binlogs and "
                        "%" PRIu64 " rows", segment->id, segment->n_binlogs, segment->rows);
    return OK;
}

static int32_t s_number(const Elanus__Field *field, const char *key)
{
    for (size_t i = 0; i < field->n_type_params; i++)
        if (strcmp(field->type_params[i]->key, key) == 0)
            return (int32_t)strtol(field->type_params[i]->value, NULL, 10);
    return 0;
}

/* The same as the build will find: what cannot be built is not begun. */
static err_t s_read_spec(ctx_t *ctx, build_job_t *self)
{
    const Elanus__Build *build = self->ask->build;
    const Elanus__Field *field = self->ask->field;
    self->field = (field_t){ .id = field->id, .name = field->name, .type = (type_t)field->type,
                             .element = (type_t)field->element, .dim = s_number(field, "dim"),
                             .max_length = s_number(field, "max_length"),
                             .max_capacity = s_number(field, "max_capacity") };
    self->params = ctx_new(&self->memory, (build->n_params + 1) * sizeof *self->params);
    for (size_t i = 0; i < build->n_params; i++)
        self->params[i] = (index_pair_t){ build->params[i]->key, build->params[i]->value };
    scalar_spec_t scalar;
    if (!type_is_vector(self->field.type))
        return field_scalar_spec(ctx, &self->field, self->params, build->n_params, &scalar);
    if (type_is_dense_vector(self->field.type) && self->field.dim <= 0)
        return ctx_fail(ctx, ERR_INDEX_TYPE, "field %s of type %s has no dimension", field->name,
                        type_name(self->field.type));
    return field_index_spec(ctx, &self->field, self->params, build->n_params, &self->spec);
}

err_t build_job_new(ctx_t *ctx, const build_job_options_t *options, view_t payload,
                    build_job_t **ret)
{
    build_job_t *self = mem_new(sizeof *self);
    ctx_init(&self->memory);
    self->options = *options;
    err_t err = PB_UNPACK(&self->memory, elanus__build_ask, payload, &self->ask);
    if (err != OK)
        err = ctx_fail(ctx, ERR_MALFORMED, "%s", self->memory.text);
    if (err == OK)
        err = s_check(ctx, self->ask);
    if (err == OK)
        err = s_read_spec(ctx, self);
    if (err == OK)
        *ret = self;
    else
        build_job_destroy(&self);
    return err;
}

void build_job_destroy(build_job_t **self_p)
{
    build_job_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    ctx_fini(&self->memory);
    mem_free(self);
}

const Elanus__BuildAsk *build_job_ask(const build_job_t *self) { return self->ask; }

uint64_t build_job_need_least(const build_job_t *self)
{
    return type_is_vector(self->field.type)
        ? build_job_need(self) : field_scalar_need(&self->field, self->ask->segment->rows, 0);
}

uint64_t build_job_need(const build_job_t *self)
{
    const Elanus__Segment *segment = self->ask->segment;
    if (!type_is_vector(self->field.type))
        return field_scalar_need(&self->field, segment->rows, segment->bytes);
    /* How long sparse vectors are nobody says; all of the segment is no less. */
    uint64_t vectors = type_is_dense_vector(self->field.type)
                     ? segment->rows * type_width(self->field.type, self->field.dim)
                     : segment->bytes;
    return vectors + index_build_need(&self->spec, (size_t)segment->rows, vectors);
}

/* --- running ------------------------------------------------------------------------------- */

err_t build_job_run(ctx_t *ctx, void *job)
{
    build_job_t *self = job;
    const Elanus__Build *build = self->ask->build;
    const Elanus__Segment *segment = self->ask->segment;
    index_how_t how = { .pool = self->options.pool, .threads = self->options.threads,
                        .percent = &self->percent };
    field_index_job_t work = {
        .segment = segment->id, .n_rows = segment->rows, .field = &self->field,
        .binlogs = (const char *const *)segment->binlogs, .n_binlogs = segment->n_binlogs,
        .params = self->params, .n_params = build->n_params, .seed = build->id, .how = &how,
        .prefix = ctx_printf(&self->memory, "index/%" PRIu64 "/%" PRIu64, build->id,
                             build->attempt),
    };
    err_t err = type_is_vector(self->field.type)
        ? field_index_build(&self->memory, self->options.store, &work, &self->built)
        : field_scalar_build(&self->memory, self->options.store, &work, &self->built);
    if (err == OK && self->built.n_objects > LIMIT_BUILD_OBJECTS)
        err = ctx_fail(&self->memory, ERR_PARAM_TOO_LARGE, "an index of %zu objects, %d are most",
                       self->built.n_objects, LIMIT_BUILD_OBJECTS);
    return err == OK ? OK : ctx_fail(ctx, err, "%s", self->memory.text);
}

void build_job_cancel(build_job_t *self)
{
    ctx_cancel(&self->memory);
}

unsigned build_job_percent(const build_job_t *self)
{
    return atomic_load(&self->percent);
}

size_t build_job_objects(const build_job_t *self, ctx_t *ctx, char ***ret)
{
    const Elanus__Build *build = self->ask->build;
    char **names = ctx_new(ctx, (self->built.n_objects + 1) * sizeof *names);
    for (size_t i = 0; i < self->built.n_objects; i++)
        names[i] = ctx_printf(ctx, "index/%" PRIu64 "/%" PRIu64 "/%zu", build->id, build->attempt,
                              i);
    *ret = names;
    return self->built.n_objects;
}

uint64_t build_job_bytes(const build_job_t *self) { return self->built.bytes; }
