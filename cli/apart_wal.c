/* apart_wal - `elanus wal`: a log object, a file of a local log, or a channel's whole log
 *
 * A local log is DIR/wal/<channel>/<seq>.wal of a standalone; a cluster's is
 * wal/<channel>/<epoch>/<seq> of its object store, with owner, seals and checkpoint in metadata.
 */
#include "cli/apart_int.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/pb_json.h"
#include "cli/show.h"
#include "core/base/vec.h"

/* --- a local log ------------------------------------------------------------------------ */

static bool s_is_log(const char *name)
{
    size_t len = strlen(name);
    return strcmp(name, "epoch") == 0 || (len > 4 && strcmp(name + len - 4, ".wal") == 0);
}

static int s_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the log's files, by name and so by seq, into a vec of const char *. */
static err_t s_list_dir(apart_t *self, const char *dir, vec_t *ret)
{
    DIR *open_dir = opendir(dir);
    if (!open_dir)
        return ctx_fail(self->ctx, ERR_KEY_NOT_FOUND, "cannot open %s: %s; `elanus meta "
                        "owner/` has the names of channels", dir, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(open_dir)); ) {
        const char *name = ctx_strdup(self->ctx, entry->d_name);
        if (s_is_log(name))
            vec_push(ret, &name);
    }
    closedir(open_dir);
    if (ret->len > 0)
        qsort(ret->ptr, ret->len, sizeof(const char *), s_order);
    return ret->len ? OK : ctx_fail(self->ctx, ERR_KEY_NOT_FOUND, "%s holds no log", dir);
}

/* What the objects of one file come to, as a row. */
static json_t *s_file_row(const json_t *file, const char *name)
{
    const json_t *objects = json_object_get(file, "objects");
    size_t n = json_array_size(objects);
    const json_t *first = json_array_get(objects, 0);
    const json_t *last = n ? json_array_get(objects, n - 1) : NULL;
    json_t *row = json_object();
    uint64_t entries = 0;
    for (size_t i = 0; i < n; i++)
        entries += (uint64_t)show_int(json_array_get(objects, i), "entries", 0);
    format_text(row, "file", name);
    format_count(row, "objects", n);
    format_count(row, "entries", entries);
    format_count(row, "ends_at", (uint64_t)show_int(file, "ends_at", 0));
    format_text(row, "from", n ? show_text(first, "first") : "");
    format_text(row, "to", n ? show_text(last, "last") : "");
    format_count(row, "epoch", (uint64_t)show_int(last, "epoch", 0));
    format_count(row, "first_seq", (uint64_t)show_int(first, "seq", 0));
    format_count(row, "last_seq", (uint64_t)show_int(last, "seq", 0));
    format_text(row, "damage", show_text(file, "damage"));
    return row;
}

static err_t s_local_file(apart_t *self, const char *dir, const char *name, json_t *files)
{
    json_t *file = json_object();
    err_t err = apart_file(self, ctx_printf(self->ctx, "%s/%s", dir, name), file);
    if (err == OK && strcmp(name, "epoch") == 0)
        json_object_set(self->root, "epoch_file", file);
    else if (err == OK)
        json_array_append_new(files, s_file_row(file, name));
    json_decref(file);
    return err;
}

static err_t s_local(apart_t *self, const char *dir)
{
    vec_scoped names;
    vec_init(&names, sizeof(const char *));
    TRY(s_list_dir(self, dir, &names));
    json_t *files = json_array();
    format_text(self->root, "log", dir);
    json_object_set_new(self->root, "files", files);
    for (size_t i = 0; i < names.len; i++)
        TRY(s_local_file(self, dir, *(const char **)vec_at(&names, i), files));
    return OK;
}

/* --- a cluster's ---------------------------------------------------------------------------- */

static err_t s_keep_keys(apart_t *self, const char *prefix, const char *name)
{
    meta_items_t items = {0};
    json_t *list = json_array();
    json_object_set_new(self->root, name, list);
    TRY(apart_keys(self, prefix, &items));
    for (size_t i = 0; i < items.n; i++) {
        const char *type = "";
        json_array_append_new(list, pb_json_meta(self->ctx, items.at[i].key, items.at[i].value,
                                                 &type));
    }
    return OK;
}

static err_t s_log_object(apart_t *self, const store_object_t *object, json_t *objects)
{
    static const char *const s_kept[] = { "epoch", "seq", "size", "first", "last",
                                          "store_checksums", "body_crc", "damage" };
    json_t *item = json_object(), *row = json_object();
    err_t err = apart_object(self, object->key, item);
    format_text(row, "object", object->key);
    for (size_t i = 0; i < ARRAY_LEN(s_kept); i++)
        if (json_object_get(item, s_kept[i]))
            json_object_set(row, s_kept[i], json_object_get(item, s_kept[i]));
    format_count(row, "entries", json_array_size(json_object_get(item, "entries")));
    if (self->ask.entries && json_object_get(item, "entries"))
        json_object_set(row, "contents", json_object_get(item, "entries"));
    json_array_append_new(objects, row);
    json_decref(item);
    return err == ERR_KEY_NOT_FOUND ? OK : err;         /* deleted meanwhile */
}

static err_t s_cluster(apart_t *self, const char *channel)
{
    store_list_t list = {0};
    json_t *objects = json_array();
    format_text(self->root, "channel", channel);
    TRY(s_keep_keys(self, ctx_printf(self->ctx, "owner/%s", channel), "owner"));
    TRY(s_keep_keys(self, ctx_printf(self->ctx, "ckpt/%s", channel), "checkpoint"));
    TRY(s_keep_keys(self, ctx_printf(self->ctx, "seal/%s/", channel), "seals"));
    TRY(stored_list(self->ctx, self->stored, ctx_printf(self->ctx, "wal/%s/", channel),
                    self->ask.most, &list));
    if (list.n == 0 && json_array_size(json_object_get(self->root, "owner")) == 0)
        return ctx_fail(self->ctx, ERR_KEY_NOT_FOUND, "no channel is called %s; `elanus meta "
                        "owner/` has their names", channel);
    json_object_set_new(self->root, "earlier_objects", json_boolean(list.more));
    json_object_set_new(self->root, "objects", objects);
    for (size_t i = 0; i < list.n; i++)
        TRY(s_log_object(self, &list.at[i], objects));
    return OK;
}

static err_t s_wal(apart_t *self)
{
    const char *word = self->args->words[0];
    struct stat st;
    if (stat(word, &st) == 0)
        return S_ISDIR(st.st_mode) ? s_local(self, word) : apart_file(self, word, self->root);
    if (strchr(word, '/'))
        return apart_object(self, word, self->root);
    if (self->stored->data)
        return s_local(self, ctx_printf(self->ctx, "%s/wal/%s", self->stored->data, word));
    return s_cluster(self, word);
}

int apart_wal(const args_t *args)
{
    return apart_run(args, s_wal);
}
