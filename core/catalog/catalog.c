/* catalog - see catalog.h
 *
 * Items by key, and names that lead to them: "<db id>/<name>" for collections,
 * the plain name for databases.  (An alias is found by its key, a load target
 * and an index by their collection's.)  A watch that starts over marks what it
 * shows again; the rest goes when it is through.
 */
#include "core/catalog/catalog.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/wire/pb.h"

enum { NAME_KEY_BYTES = LIMIT_NAME_BYTES + 24 };

typedef struct item {
    catalog_kind_t kind;
    char *key;                  /* owned by memory, like message */
    ctx_t memory;
    ProtobufCMessage *message;
    schema_t *schema;           /* collections */
    uint64_t round;             /* of the watch that last showed it */
} item_t;

struct catalog {
    map_t *items;               /* key -> item_t, owned */
    map_t *databases;           /* name -> item_t */
    map_t *collections;         /* "<db id>/<name>" -> item_t */
    struct {
        int64_t rev;
        uint64_t round;         /* counts the RESETs */
        bool listing, synced;
    } kinds[CATALOG_KINDS];
};

static const struct {
    const char *root;
    const ProtobufCMessageDescriptor *type;
} s_kinds[CATALOG_KINDS] = {
    [CATALOG_DATABASE] = { "db/", &elanus__database__descriptor },
    [CATALOG_COLLECTION] = { "coll/", &elanus__collection__descriptor },
    [CATALOG_ALIAS] = { "alias/", &elanus__alias__descriptor },
    [CATALOG_LOAD] = { "load/", &elanus__load__descriptor },
    [CATALOG_INDEX] = { "index/", &elanus__index__descriptor },
};

const char *catalog_root(catalog_kind_t kind)
{
    return s_kinds[kind].root;
}

catalog_t *catalog_new(void)
{
    catalog_t *self = mem_new(sizeof *self);
    self->items = map_new();
    self->databases = map_new();
    self->collections = map_new();
    return self;
}

static void s_item_free(item_t *item)
{
    schema_unref(&item->schema);
    ctx_fini(&item->memory);
    mem_free(item);
}

void catalog_destroy(catalog_t **self_p)
{
    catalog_t *self = *self_p;
    if (!self)
        return;
    void *item = NULL;
    for (size_t at = 0; map_next(self->items, &at, NULL, &item); )
        s_item_free(item);
    map_destroy(&self->items);
    map_destroy(&self->databases);
    map_destroy(&self->collections);
    mem_free(self);
    *self_p = NULL;
}

/* --- changes ------------------------------------------------------------------ */

static bool s_kind_of(const char *key, catalog_kind_t *ret)
{
    for (int kind = 0; kind < CATALOG_KINDS; kind++) {
        if (strncmp(key, s_kinds[kind].root, strlen(s_kinds[kind].root)) == 0) {
            *ret = (catalog_kind_t)kind;
            return true;
        }
    }
    return false;
}

static const char *s_name_key(uint64_t db, const char *name, char into[NAME_KEY_BYTES])
{
    snprintf(into, NAME_KEY_BYTES, "%llu/%s", (unsigned long long)db, name);
    return into;
}

/* Enter the item's name; an item it replaces under that name keeps its own key. */
static void s_name(catalog_t *self, item_t *item)
{
    char key[NAME_KEY_BYTES];
    if (item->kind == CATALOG_DATABASE) {
        map_put_str(self->databases, ((Elanus__Database *)item->message)->name, item);
    } else if (item->kind == CATALOG_COLLECTION) {
        const Elanus__Collection *coll = (const void *)item->message;
        map_put_str(self->collections, s_name_key(coll->db_id, coll->name, key), item);
    }
}

/* Strike the item's name, unless another one has it by now. */
static void s_unname(catalog_t *self, item_t *item)
{
    char key[NAME_KEY_BYTES];
    map_t *names = item->kind == CATALOG_DATABASE ? self->databases : self->collections;
    const char *name = NULL;
    if (item->kind == CATALOG_DATABASE) {
        name = ((Elanus__Database *)item->message)->name;
    } else if (item->kind == CATALOG_COLLECTION) {
        const Elanus__Collection *coll = (const void *)item->message;
        name = s_name_key(coll->db_id, coll->name, key);
    }
    if (name && map_get_str(names, name) == item)
        map_del_str(names, name);
}

static void s_remove(catalog_t *self, const char *key)
{
    item_t *item = map_del_str(self->items, key);
    if (!item)
        return;
    s_unname(self, item);
    s_item_free(item);
}

void catalog_saw(catalog_t *self, catalog_kind_t kind, int64_t rev)
{
    if (rev > self->kinds[kind].rev)
        self->kinds[kind].rev = rev;
}

/* Names are keys here, so a stored one is checked like everything that is read back. */
static err_t s_check_names(ctx_t *ctx, const item_t *item)
{
    const char *name = item->kind == CATALOG_DATABASE
        ? ((Elanus__Database *)item->message)->name
        : item->kind == CATALOG_COLLECTION ? ((Elanus__Collection *)item->message)->name : "-";
    if (strlen(name) > LIMIT_NAME_BYTES || name[0] == '\0')
        return ctx_fail(ctx, ERR_CORRUPT, "%s: a name of %zu bytes", item->key, strlen(name));
    return OK;
}

static err_t s_read(ctx_t *ctx, item_t *item, const char *key, view_t value)
{
    item->key = ctx_strdup(&item->memory, key);
    err_t err = wire_unpack(&item->memory, s_kinds[item->kind].type, value, &item->message);
    if (err != OK)
        return ctx_fail(ctx, ERR_CORRUPT, "%s: %s", key, item->memory.text);
    TRY(s_check_names(ctx, item));
    if (item->kind == CATALOG_COLLECTION)
        TRY(catalog_make_schema(ctx, (const Elanus__Collection *)item->message, &item->schema));
    return OK;
}

err_t catalog_put(catalog_t *self, ctx_t *ctx, const char *key, view_t value, int64_t rev)
{
    catalog_kind_t kind;
    if (!s_kind_of(key, &kind))
        return OK;
    catalog_saw(self, kind, rev);
    item_t *item = mem_new(sizeof *item);
    item->kind = kind;
    item->round = self->kinds[kind].round;
    ctx_init(&item->memory);
    err_t err = s_read(ctx, item, key, value);
    if (err != OK) {
        s_item_free(item);
        return err;
    }
    s_remove(self, key);
    map_put_str(self->items, key, item);
    s_name(self, item);
    return OK;
}

void catalog_delete(catalog_t *self, const char *key, int64_t rev)
{
    catalog_kind_t kind;
    if (!s_kind_of(key, &kind))
        return;
    catalog_saw(self, kind, rev);
    s_remove(self, key);
}

/* What the watch did not show again after its RESET is gone. */
static void s_relisted(catalog_t *self, catalog_kind_t kind)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->items, &at, NULL, &value); ) {
        item_t *item = value;
        if (item->kind != kind || item->round == self->kinds[kind].round)
            continue;
        map_del_str(self->items, item->key);
        s_unname(self, item);
        s_item_free(item);
    }
    self->kinds[kind].listing = false;
    self->kinds[kind].synced = true;
}

void catalog_watched(catalog_t *self, ctx_t *ctx, catalog_kind_t kind,
                     const meta_change_t *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const meta_item_t *item = &changes[i].item;
        switch (changes[i].kind) {
        case META_WATCH_RESET:
            self->kinds[kind].round++;
            self->kinds[kind].listing = true;
            break;
        case META_WATCH_PUT:
            if (catalog_put(self, ctx, item->key, item->value, item->mod_rev) != OK)
                log_event(LOG_DEBUG, "catalog_damaged", "key=%s why=\"%s\"", item->key, ctx->text);
            break;
        case META_WATCH_DELETE:
            catalog_delete(self, item->key, item->mod_rev);
            break;
        case META_WATCH_SYNCED:
            catalog_saw(self, kind, item->mod_rev);
            s_relisted(self, kind);
            break;
        }
    }
}

bool catalog_synced(const catalog_t *self)
{
    for (int kind = 0; kind < CATALOG_KINDS; kind++)
        if (!self->kinds[kind].synced)
            return false;
    return catalog_database(self, "default") != NULL;
}

int64_t catalog_rev(const catalog_t *self, catalog_kind_t kind)
{
    return self->kinds[kind].listing ? 0 : self->kinds[kind].rev;
}

/* --- questions ------------------------------------------------------------------ */

static const void *s_message(const item_t *item)
{
    return item ? item->message : NULL;
}

const Elanus__Database *catalog_database(const catalog_t *self, const char *name)
{
    return s_message(map_get_str(self->databases, name));
}

const Elanus__Collection *catalog_collection(const catalog_t *self, uint64_t db, const char *name)
{
    char key[NAME_KEY_BYTES];
    if (strlen(name) > LIMIT_NAME_BYTES)
        return NULL;
    return s_message(map_get_str(self->collections, s_name_key(db, name, key)));
}

static const item_t *s_by_key(const catalog_t *self, const char *format, uint64_t a, const char *b)
{
    char key[NAME_KEY_BYTES + 16];
    if (strlen(b) > LIMIT_NAME_BYTES)
        return NULL;
    snprintf(key, sizeof key, "%s%llu%s%s", format, (unsigned long long)a, b[0] ? "/" : "", b);
    return map_get_str(self->items, key);
}

const Elanus__Database *catalog_database_by_id(const catalog_t *self, uint64_t id)
{
    return s_message(s_by_key(self, "db/", id, ""));
}

const Elanus__Collection *catalog_collection_by_id(const catalog_t *self, uint64_t id)
{
    return s_message(s_by_key(self, "coll/", id, ""));
}

const Elanus__Alias *catalog_alias(const catalog_t *self, uint64_t db, const char *name)
{
    return name[0] ? s_message(s_by_key(self, "alias/", db, name)) : NULL;
}

const Elanus__Load *catalog_load(const catalog_t *self, uint64_t collection)
{
    return s_message(s_by_key(self, "load/", collection, ""));
}

const Elanus__Collection *catalog_find(const catalog_t *self, uint64_t db, const char *name)
{
    const Elanus__Collection *coll = catalog_collection(self, db, name);
    const Elanus__Alias *alias = coll ? NULL : catalog_alias(self, db, name);
    return alias ? catalog_collection_by_id(self, alias->collection_id) : coll;
}

schema_t *catalog_schema(const catalog_t *self, uint64_t collection)
{
    const item_t *item = s_by_key(self, "coll/", collection, "");
    return item ? item->schema : NULL;
}

const Elanus__Partition *catalog_partition(const Elanus__Collection *coll, const char *name)
{
    for (size_t i = 0; i < coll->n_partitions; i++)
        if (strcmp(coll->partitions[i]->name, name) == 0)
            return coll->partitions[i];
    return NULL;
}

const Elanus__Field *catalog_field(const Elanus__Collection *coll, const char *name)
{
    for (size_t i = 0; i < coll->n_fields; i++)
        if (strcmp(coll->fields[i]->name, name) == 0)
            return coll->fields[i];
    return NULL;
}

/* --- lists ------------------------------------------------------------------------ */

static int s_by_age(const void *a, const void *b)
{
    const char *x = (*(const item_t *const *)a)->key, *y = (*(const item_t *const *)b)->key;
    size_t nx = strlen(x), ny = strlen(y);
    return nx != ny ? (nx > ny) - (nx < ny) : strcmp(x, y);     /* ids are not padded */
}

/* Items whose key starts like this, oldest first where the keys end in an id. */
static size_t s_list(const catalog_t *self, ctx_t *ctx, const char *prefix, const void ***ret)
{
    const void **found = ctx_new(ctx, (map_len(self->items) + 1) * sizeof *found);
    size_t n = 0;
    void *item = NULL;
    for (size_t at = 0; map_next(self->items, &at, NULL, &item); )
        if (strncmp(((const item_t *)item)->key, prefix, strlen(prefix)) == 0)
            found[n++] = item;
    qsort(found, n, sizeof *found, s_by_age);
    for (size_t i = 0; i < n; i++)
        found[i] = ((const item_t *)found[i])->message;
    *ret = found;
    return n;
}

size_t catalog_list(const catalog_t *self, ctx_t *ctx, catalog_kind_t kind, const void ***ret)
{
    return s_list(self, ctx, s_kinds[kind].root, ret);
}

size_t catalog_aliases_of(const catalog_t *self, ctx_t *ctx, uint64_t collection,
                          const Elanus__Alias ***ret)
{
    const Elanus__Collection *coll = catalog_collection_by_id(self, collection);
    const void **all = NULL;
    size_t kept = 0;
    size_t n = coll ? s_list(self, ctx, ctx_printf(ctx, "alias/%llu/",
                                                   (unsigned long long)coll->db_id), &all) : 0;
    for (size_t i = 0; i < n; i++)
        if (((const Elanus__Alias *)all[i])->collection_id == collection)
            all[kept++] = all[i];
    *ret = (const Elanus__Alias **)all;
    return kept;
}

size_t catalog_indexes_of(const catalog_t *self, ctx_t *ctx, uint64_t collection,
                          const Elanus__Index ***ret)
{
    return s_list(self, ctx, ctx_printf(ctx, "index/%llu/", (unsigned long long)collection),
                  (const void ***)ret);
}

/* --- parts -------------------------------------------------------------------------- */

const char *catalog_key_database(ctx_t *ctx, uint64_t id)
{
    return ctx_printf(ctx, "db/%llu", (unsigned long long)id);
}

const char *catalog_key_collection(ctx_t *ctx, uint64_t id)
{
    return ctx_printf(ctx, "coll/%llu", (unsigned long long)id);
}

const char *catalog_key_alias(ctx_t *ctx, uint64_t db, const char *name)
{
    return ctx_printf(ctx, "alias/%llu/%s", (unsigned long long)db, name);
}

const char *catalog_key_load(ctx_t *ctx, uint64_t collection)
{
    return ctx_printf(ctx, "load/%llu", (unsigned long long)collection);
}

const char *catalog_key_index(ctx_t *ctx, uint64_t collection, uint64_t index)
{
    return ctx_printf(ctx, "index/%llu/%llu", (unsigned long long)collection,
                      (unsigned long long)index);
}

const char *catalog_pair(Elanus__Pair *const *pairs, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i]->key, key) == 0)
            return pairs[i]->value;
    return NULL;
}

bool catalog_true(const char *text)
{
    static const char *const s_yes[] = { "1", "t", "T", "true", "TRUE", "True" };
    for (size_t i = 0; text && i < ARRAY_LEN(s_yes); i++)
        if (strcmp(text, s_yes[i]) == 0)
            return true;
    return false;
}

static int32_t s_number(const Elanus__Field *field, const char *key)
{
    const char *text = catalog_pair(field->type_params, field->n_type_params, key);
    long value = text ? strtol(text, NULL, 10) : 0;
    return value < 0 || value > INT32_MAX ? 0 : (int32_t)value;
}

static field_t s_field(const Elanus__Field *from)
{
    return (field_t){
        .id = from->id, .name = from->name, .description = from->description,
        .type = (type_t)from->type, .element = (type_t)from->element,
        .dim = s_number(from, "dim"), .max_length = s_number(from, "max_length"),
        .max_capacity = s_number(from, "max_capacity"),
        .primary_key = from->primary_key, .auto_id = from->auto_id,
        .partition_key = from->partition_key, .clustering_key = from->clustering_key,
        .dynamic = from->dynamic, .nullable = from->nullable, .has_default = from->has_default,
        .default_value = view_of(from->default_value.data, from->default_value.len),
        .mmap = catalog_true(catalog_pair(from->type_params, from->n_type_params, "mmap.enabled")),
    };
}

/* schema_new takes a wrong schema for a mistake of ours; one that was read is only damage. */
static err_t s_check_schema(ctx_t *ctx, const Elanus__Collection *coll)
{
    size_t keys = 0;
    owned(map) names = map_new();
    for (size_t i = 0; i < coll->n_fields; i++) {
        const Elanus__Field *field = coll->fields[i];
        keys += field->primary_key;
        bool id_ok = field->id >= FIELD_FIRST && (i == 0 || field->id > coll->fields[i - 1]->id);
        bool key_ok = !field->primary_key || field->type == TYPE_INT64 ||
                      field->type == TYPE_VARCHAR;
        if (!id_ok || !key_ok || map_put_str(names, field->name, coll->fields[i]) ||
            (field->dynamic && i + 1 < coll->n_fields) ||
            strcmp(type_name((type_t)field->type), "None") == 0)
            return ctx_fail(ctx, ERR_CORRUPT, "collection %s: field %zu is impossible", coll->name,
                            i);
    }
    if (keys != 1)
        return ctx_fail(ctx, ERR_CORRUPT, "collection %s: %zu primary keys", coll->name, keys);
    return OK;
}

err_t catalog_make_schema(ctx_t *ctx, const Elanus__Collection *coll, schema_t **ret)
{
    TRY(s_check_schema(ctx, coll));
    field_t *fields = ctx_new(ctx, coll->n_fields * sizeof *fields);
    for (size_t i = 0; i < coll->n_fields; i++)
        fields[i] = s_field(coll->fields[i]);
    *ret = schema_new(fields, coll->n_fields);
    return OK;
}
