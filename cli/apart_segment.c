/* apart_segment - `elanus segment` and `elanus index`: everything that metadata names for one
 * segment or one build, or one object, or one file */
#include "cli/apart_int.h"

#include <sys/stat.h>

#include "cli/pb_json.h"
#include "cli/show.h"
#include "core/base/limits.h"

/* --- finding by id ------------------------------------------------------------------------ */

/* The item under a prefix whose member `id` is this; decoded, the caller's. */
static err_t s_by_id(apart_t *self, const char *prefix, const char *what, const char *id,
                     json_t **ret)
{
    meta_items_t items = {0};
    TRY(apart_keys(self, prefix, &items));
    for (size_t i = 0; i < items.n; i++) {
        const char *type = "";
        json_t *value = pb_json_meta(self->ctx, items.at[i].key, items.at[i].value, &type);
        if (strcmp(show_text(value, "id"), id) == 0) {
            *ret = value;
            return OK;
        }
        json_decref(value);
    }
    return ctx_fail(self->ctx, ERR_KEY_NOT_FOUND, "no %s %s; `elanus meta %s` has all", what, id,
                    prefix);
}

/* Names of fields by id, from the collection; "" when it is gone. */
static const char *s_field_name(const json_t *collection, const char *id)
{
    size_t i;
    const json_t *field;
    if (strncmp(id, "1 ", 2) == 0)
        return "(timestamps)";
    json_array_foreach(json_object_get(collection, "fields"), i, field)
        if (strcmp(show_text(field, "id"), id) == 0)
            return show_text(field, "name");
    return "";
}

/* --- segment -------------------------------------------------------------------------------- */

static json_t *s_object_row(const json_t *item, const json_t *collection)
{
    static const char *const s_kept[] = { "compression", "n_pages", "stored_bytes",
                                          "unpacked_bytes", "nulls" };
    json_t *row = json_object();
    const char *field = show_text(item, "field"), *damage = show_text(item, "damage");
    format_text(row, "format", show_text(item, "format"));
    format_text(row, "field", field[0] ? s_field_name(collection, field) : "");
    format_text(row, "type", show_text(item, "type"));
    format_count(row, "rows", (uint64_t)show_int(item, "rows", show_int(item, "n_records", 0)));
    format_text(row, "verdict", damage[0] ? "DAMAGED" : "ok");
    format_count(row, "size", (uint64_t)show_int(item, "size", 0));
    for (size_t i = 0; i < ARRAY_LEN(s_kept); i++) {
        json_t *value = json_object_get(item, s_kept[i]);
        json_object_set(row, s_kept[i], value ? value : json_null());
    }
    format_text(row, "object", show_text(item, "name"));
    if (damage[0])
        format_text(row, "damage", damage);
    return row;
}

/* An object that is not there is damage as well: metadata names it. */
static err_t s_add_object(apart_t *self, const char *key, const json_t *collection,
                          json_t *objects)
{
    json_t *item = json_object();
    err_t err = apart_object(self, key, item);
    if (err == ERR_KEY_NOT_FOUND || err == ERR_VERSION || err == ERR_PARAM_INVALID) {
        format_text(item, "name", key);
        apart_note(self, item, ctx_printf(self->ctx, "%s: %s", key, self->ctx->text));
        err = OK;
    }
    json_array_append_new(objects, s_object_row(item, collection));
    json_decref(item);
    return err;
}

static err_t s_add_objects(apart_t *self, const json_t *keys, const json_t *collection,
                           json_t *objects)
{
    size_t i;
    const json_t *key;
    json_array_foreach(keys, i, key)
        TRY(s_add_object(self, json_string_value(key), collection, objects));
    return OK;
}

static err_t s_segment_parts(apart_t *self, const json_t *segment)
{
    json_t *collection = NULL, *objects = json_array();
    json_object_set_new(self->root, "objects", objects);
    if (s_by_id(self, "coll/", "collection", show_text(segment, "collection"), &collection) != OK)
        ctx_clear(self->ctx);                   /* dropped */
    err_t err = s_add_objects(self, json_object_get(segment, "binlogs"), collection, objects);
    if (err == OK)
        err = s_add_objects(self, json_object_get(segment, "deltalogs"), collection, objects);
    if (err == OK && show_text(segment, "stats")[0])
        err = s_add_object(self, show_text(segment, "stats"), collection, objects);
    if (collection)
        format_text(self->root, "collection_name", show_text(collection, "name"));
    json_decref(collection);
    return err;
}

static err_t s_segment_by_id(apart_t *self, const char *id)
{
    json_t *segment = NULL;
    TRY(s_by_id(self, "seg/", "segment", id, &segment));
    json_object_update(self->root, segment);
    err_t err = s_segment_parts(self, segment);
    json_object_del(self->root, "binlogs");     /* they are rows of "objects" */
    json_object_del(self->root, "deltalogs");
    json_object_del(self->root, "stats");
    json_decref(segment);
    return err;
}

static err_t s_segment(apart_t *self)
{
    const char *word = self->args->words[0];
    return stored_is_id(word) ? s_segment_by_id(self, word) : apart_named(self, word);
}

int apart_segment(const args_t *args)
{
    return apart_run(args, s_segment);
}

/* --- index ------------------------------------------------------------------------------------ */

typedef struct objects {
    view_t *bytes;
    const char **names;
    size_t n;
} objects_t;

/* Objects of a vector index belong together; a scalar index has one. */
static err_t s_describe(apart_t *self, const objects_t *objects)
{
    bool vectors = objects->n > 1;
    err_t err = vectors ? format_index_objects(self->ctx, objects->bytes, objects->names,
                                               objects->n, self->root)
                        : format_read(self->ctx, &self->ask, objects->bytes[0],
                                      objects->names[0], self->root);
    if (err == ERR_CORRUPT)
        apart_note(self, self->root, self->ctx->text);
    return err == ERR_CORRUPT ? OK : err;
}

static err_t s_take(apart_t *self, objects_t *objects, const stored_bytes_t *bytes)
{
    if (objects->n == LIMIT_BUILD_OBJECTS)
        return ctx_fail(self->ctx, ERR_PARAM_TOO_LARGE, "more than %d objects",
                        LIMIT_BUILD_OBJECTS);
    objects->bytes[objects->n] = bytes->body;
    objects->names[objects->n++] = bytes->name;
    if (bytes->damage)
        apart_note(self, self->root, bytes->damage);
    return OK;
}

static objects_t s_room(apart_t *self)
{
    return (objects_t){
        .bytes = ctx_new(self->ctx, LIMIT_BUILD_OBJECTS * sizeof(view_t)),
        .names = ctx_new(self->ctx, LIMIT_BUILD_OBJECTS * sizeof(char *)),
    };
}

static err_t s_build_objects(apart_t *self, const json_t *build)
{
    objects_t objects = s_room(self);
    size_t i;
    const json_t *key;
    json_array_foreach(json_object_get(build, "objects"), i, key) {
        stored_bytes_t bytes = {0};
        err_t err = stored_object(self->ctx, self->stored, json_string_value(key), &bytes);
        if (err == ERR_KEY_NOT_FOUND)
            return ctx_fail(self->ctx, ERR_CORRUPT, "%s is not there: the index has to be built "
                            "again", json_string_value(key));
        TRY(err);
        TRY(s_take(self, &objects, &bytes));
    }
    if (objects.n == 0)
        return ctx_fail(self->ctx, ERR_KEY_NOT_FOUND, "build %s is %s: it has no objects",
                        show_text(build, "id"), show_text(build, "state"));
    json_object_del(self->root, "objects");
    return s_describe(self, &objects);
}

static err_t s_build_by_id(apart_t *self, const char *id)
{
    json_t *build = NULL;
    TRY(s_by_id(self, "build/", "build", id, &build));
    json_object_update(self->root, build);
    err_t err = s_build_objects(self, build);
    json_decref(build);
    return err;
}

/* A directory index/<build>/<attempt>: its files 0, 1, 2 … */
static err_t s_build_dir(apart_t *self, const char *dir)
{
    objects_t objects = s_room(self);
    struct stat st;
    for (;;) {
        const char *path = ctx_printf(self->ctx, "%s/%zu", dir, objects.n);
        if (stat(path, &st) != 0)
            break;
        stored_bytes_t bytes = {0};
        TRY(stored_file(self->ctx, path, &bytes));
        TRY(s_take(self, &objects, &bytes));
    }
    if (objects.n == 0)
        return ctx_fail(self->ctx, ERR_KEY_NOT_FOUND, "%s has no file 0: it is no directory of "
                        "an index", dir);
    return s_describe(self, &objects);
}

static err_t s_index(apart_t *self)
{
    const char *word = self->args->words[0];
    struct stat st;
    if (stored_is_id(word))
        return s_build_by_id(self, word);
    if (stat(word, &st) == 0 && S_ISDIR(st.st_mode))
        return s_build_dir(self, word);
    return apart_named(self, word);
}

int apart_index(const args_t *args)
{
    return apart_run(args, s_index);
}
