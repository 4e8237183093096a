/* sealed - see sealed.h
 *
 *     slots[part][field] ──▶ column, and the memory or map under it
 *     ts of all rows in one array; died of all rows, made by the first delete that hits, and
 *     behind it a bit a row, set when it died: few do, and a reader looks at those only
 *     order: rows by primary key; NULL when rows lie in that order already
 *
 * Locks: `lock` guards loading a slot and is held across the read, so that a field is
 * read once; `death_lock` guards making `died`; `index_lock` guards `indexes` and `scalars`.
 * under another.
 */
#include "core/segment/sealed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/segment/binlog.h"
#include "core/segment/delta.h"

enum { WORD = 64 };

typedef struct slot {
    _Atomic bool loaded;
    char *key;                  /* owned; object of the store */
    column_t column;
    void *memory;               /* owned */
    store_mapping_t map;        /* owned */
    _Atomic(void *) room;       /* owned; a reader's */
} slot_t;

struct sealed {
    _Atomic int refs;
    schema_t *schema;
    store_t *store;             /* borrowed */
    segment_id_t id;
    size_t n_rows, n_parts, n_slots;    /* n_slots a part: the fields and the timestamps */
    size_t *first;              /* [n_parts + 1] rows */
    slot_t *slots;              /* [n_parts][n_slots] */
    uint64_t *ts;               /* [n_rows] */
    uint64_t min_ts, max_ts;
    size_t pk;                  /* the key's place in the schema */
    uint32_t *order;            /* [n_rows]; NULL: rows are in order */
    field_index_t **indexes;    /* owned; [fields] a reference each, or NULL */
    field_scalar_t **scalars;   /* the same, of scalar fields */
    pthread_mutex_t lock, death_lock, index_lock;
    _Atomic(_Atomic uint64_t *) died;   /* [n_rows], then the bits; NULL: everybody lives */
    _Atomic size_t bytes;
};

static const field_t s_ts_field = { .id = FIELD_TIMESTAMP, .name = "timestamp",
                                    .type = TYPE_INT64 };

static slot_t *s_slot(const sealed_t *self, size_t part, size_t i)
{
    return &self->slots[part * self->n_slots + i];
}

/* --- loading ------------------------------------------ */

static void s_add_bytes(sealed_t *self, size_t n)
{
    atomic_fetch_add_explicit(&self->bytes, n, memory_order_relaxed);
}

/* A compressed object is unpacked and dropped, a raw one stays mapped. */
static err_t s_unpack(ctx_t *ctx, sealed_t *self, size_t part, const field_t *field, slot_t *slot)
{
    owned(binlog) binlog = NULL;
    TRY(store_map(ctx, self->store, slot->key, &slot->map));
    TRY(binlog_open(ctx, slot->map.body, slot->key, &binlog));
    TRY(binlog_expect(ctx, binlog, field, self->id.segment, self->first[part]));
    TRY(binlog_load(ctx, binlog, &slot->memory, &slot->column));
    size_t n = slot->column.n, cells = slot->column.width ? n * slot->column.width
                                     : (size_t)slot->column.offsets[n] + 8 * n;
    s_add_bytes(self, cells);
    if (slot->memory)
        store_unmap(&slot->map);
    return OK;
}

static void s_drop(slot_t *slot)
{
    mem_free(slot->memory);
    slot->memory = NULL;
    store_unmap(&slot->map);
}

static err_t s_load(ctx_t *ctx, sealed_t *self, size_t part, size_t i)
{
    slot_t *slot = s_slot(self, part, i);
    if (atomic_load_explicit(&slot->loaded, memory_order_acquire))
        return OK;
    const field_t *field = i < schema_len(self->schema) ? schema_at(self->schema, i) : &s_ts_field;
    pthread_mutex_lock(&self->lock);
    err_t err = OK;
    if (!atomic_load_explicit(&slot->loaded, memory_order_relaxed)) {
        err = s_unpack(ctx, self, part, field, slot);
        size_t want = self->first[part + 1] - self->first[part];
        if (err == OK && slot->column.n != want)
            err = ctx_fail(ctx, ERR_CORRUPT, "%s has %zu rows, the segment's part has %zu",
                           slot->key, slot->column.n, want);
        if (err == OK)
            atomic_store_explicit(&slot->loaded, true, memory_order_release);
        else
            s_drop(slot);
    }
    pthread_mutex_unlock(&self->lock);
    return err;
}

/* How many rows each part has: the timestamps' binlogs say it. */
static err_t s_load_ts(ctx_t *ctx, sealed_t *self, size_t n_rows)
{
    self->ts = mem_try(ctx, n_rows * sizeof *self->ts);
    if (!self->ts)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu timestamps", n_rows);
    for (size_t part = 0; part < self->n_parts; part++) {
        slot_t *slot = s_slot(self, part, self->n_slots - 1);
        err_t err = s_unpack(ctx, self, part, &s_ts_field, slot);
        size_t n = slot->column.n, first = self->first[part];
        if (err == OK && (n > n_rows - first || slot->column.valid))
            err = ctx_fail(ctx, ERR_CORRUPT, "%s has %zu rows from %zu on, the segment only %zu",
                           slot->key, n, first, n_rows);
        if (err == OK && n)
            memcpy(self->ts + first, slot->column.cells, n * sizeof *self->ts);
        s_drop(slot);
        TRY(err);
        self->first[part + 1] = first + n;
    }
    if (self->first[self->n_parts] != n_rows)
        return ctx_fail(ctx, ERR_CORRUPT, "segment %llu has %zu rows in its files, expected were "
                        "%zu", (unsigned long long)self->id.segment, self->first[self->n_parts],
                        n_rows);
    self->n_rows = n_rows;
    for (size_t i = 0; i < n_rows; i++) {
        self->min_ts = self->ts[i] < self->min_ts ? self->ts[i] : self->min_ts;
        self->max_ts = self->ts[i] > self->max_ts ? self->ts[i] : self->max_ts;
    }
    return OK;
}

/* --- primary keys ------------------------------------------ */

static size_t s_part_of(const sealed_t *self, size_t row)
{
    size_t low = 0, high = self->n_parts;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (self->first[mid] <= row)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static view_t s_pk(const sealed_t *self, size_t row)
{
    size_t part = s_part_of(self, row);
    return column_cell(&s_slot(self, part, self->pk)->column, row - self->first[part]);
}

static int s_compare_rows(const void *a, const void *b, void *arg)
{
    const sealed_t *self = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = pk_cmp(schema_pk(self->schema)->type, s_pk(self, x), s_pk(self, y));
    return order ? order : (x > y) - (x < y);
}

typedef struct keyed { uint64_t key; uint32_t row; } keyed_t;

/* One stable pass by byte `byte` of the keys; false when it is the same in all. */
static bool s_radix_pass(const keyed_t *from, keyed_t *to, size_t n, int byte)
{
    size_t count[256] = {0}, at = 0;
    for (size_t i = 0; i < n; i++)
        count[from[i].key >> 8 * byte & 255]++;
    if (count[from[0].key >> 8 * byte & 255] == n)
        return false;
    for (size_t b = 0; b < ARRAY_LEN(count); b++) {
        size_t here = count[b];
        count[b] = at;
        at += here;
    }
    for (size_t i = 0; i < n; i++)
        to[count[from[i].key >> 8 * byte & 255]++] = from[i];
    return true;
}

/* Int64 keys by bytes, lowest first: a tenth of the time that comparing takes. */
static err_t s_sort_numbers(ctx_t *ctx, sealed_t *self)
{
    size_t n = self->n_rows;
    keyed_t *memory = mem_try(ctx, 2 * n * sizeof *memory), *from = memory, *to = memory + n;
    if (!memory)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to sort %zu primary keys", n);
    for (size_t part = 0, row = 0; part < self->n_parts; part++) {
        const column_t *c = &s_slot(self, part, self->pk)->column;
        for (size_t i = 0; i < c->n; i++, row++)    /* the sign turned: order as of unsigned */
            from[row] = (keyed_t){ load_u64(c->cells + 8 * i) ^ 1ull << 63, (uint32_t)row };
    }
    for (int byte = 0; byte < 8; byte++)
        if (s_radix_pass(from, to, n, byte)) {
            keyed_t *swap = from;
            from = to;
            to = swap;
        }
    for (size_t i = 0; i < n; i++)
        self->order[i] = from[i].row;
    mem_free(memory);
    return OK;
}

static err_t s_sort_pks(ctx_t *ctx, sealed_t *self)
{
    bool sorted = true;
    for (uint32_t i = 1; sorted && i < self->n_rows; i++)
        sorted = s_compare_rows(&(uint32_t){ i - 1 }, &i, self) < 0;
    if (sorted)
        return OK;
    self->order = mem_try(ctx, self->n_rows * sizeof *self->order);
    if (!self->order)
        return ctx_fail(ctx, ERR_MEMORY, "no memory to sort %zu primary keys", self->n_rows);
    s_add_bytes(self, self->n_rows * sizeof *self->order);
    if (schema_pk(self->schema)->type == TYPE_INT64)
        return s_sort_numbers(ctx, self);
    for (size_t i = 0; i < self->n_rows; i++)
        self->order[i] = (uint32_t)i;
    qsort_r(self->order, self->n_rows, sizeof *self->order, s_compare_rows, self);
    return OK;
}

static size_t s_row(const sealed_t *self, size_t place)
{
    return self->order ? self->order[place] : place;
}

/* The first place, in the order of keys, whose key is not below pk. */
static size_t s_lower(const sealed_t *self, view_t pk)
{
    type_t type = schema_pk(self->schema)->type;
    size_t low = 0, high = self->n_rows;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (pk_cmp(type, s_pk(self, s_row(self, mid)), pk) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* --- deletes ------------------------------------------ */

static _Atomic uint64_t *s_died(const sealed_t *self)
{
    return atomic_load_explicit(&self->died, memory_order_acquire);
}

static size_t s_words(const sealed_t *self)
{
    return (self->n_rows + WORD - 1) / WORD;
}

/* Which of rows [row, row + 64) died at some time. */
static uint64_t s_dead(const sealed_t *self, const _Atomic uint64_t *died, size_t row)
{
    const _Atomic uint64_t *bits = died + self->n_rows;
    size_t at = row / WORD, shift = row % WORD;
    uint64_t low = atomic_load_explicit(&bits[at], memory_order_relaxed) >> shift;
    if (shift == 0 || at + 1 == s_words(self))
        return low;
    return low | atomic_load_explicit(&bits[at + 1], memory_order_relaxed) << (WORD - shift);
}

static err_t s_make_died(ctx_t *ctx, sealed_t *self)
{
    if (s_died(self))
        return OK;
    pthread_mutex_lock(&self->death_lock);
    _Atomic uint64_t *died = s_died(self);
    if (!died) {
        size_t bytes = (self->n_rows + s_words(self)) * sizeof *died;
        died = mem_try(ctx, bytes);
        for (size_t i = 0; died && i < self->n_rows; i++)
            atomic_init(&died[i], SEGMENT_ALIVE);
        s_add_bytes(self, died ? bytes : 0);
        atomic_store_explicit(&self->died, died, memory_order_release);
    }
    pthread_mutex_unlock(&self->death_lock);
    return died ? OK : ctx_fail(ctx, ERR_MEMORY, "no memory for deletes in segment %llu",
                                (unsigned long long)self->id.segment);
}

/* Lower a death; false when the row was dead by then already. */
static bool s_lower_death(const sealed_t *self, size_t row, uint64_t ts)
{
    _Atomic uint64_t *died = s_died(self), *bits = died + self->n_rows;
    uint64_t now = atomic_load_explicit(&died[row], memory_order_relaxed);
    if (now == SEGMENT_ALIVE)
        atomic_fetch_or_explicit(&bits[row / WORD], 1ull << row % WORD, memory_order_relaxed);
    while (ts < now)
        if (atomic_compare_exchange_weak_explicit(&died[row], &now, ts, memory_order_release,
                                                  memory_order_relaxed))
            return true;
    return false;
}

/* Deaths by the deletes of one key.  ret_n NULL: only make room, which is all that
 * can fail. */
static err_t s_kill(ctx_t *ctx, sealed_t *self, view_t pk, uint64_t ts, size_t *ret_n)
{
    for (size_t place = s_lower(self, pk); place < self->n_rows; place++) {
        size_t row = s_row(self, place);
        if (!view_eq(s_pk(self, row), pk))
            break;
        if (self->ts[row] >= ts)
            continue;
        if (!ret_n)
            return s_make_died(ctx, self);
        *ret_n += s_lower_death(self, row, ts);
    }
    return OK;
}

err_t sealed_delete(ctx_t *ctx, sealed_t *self, const column_t *pks, const uint64_t *ts,
                    size_t *ret_n)
{
    check(pks->type == schema_pk(self->schema)->type);
    size_t n = 0;
    for (size_t i = 0; i < pks->n && !s_died(self); i++)
        TRY(s_kill(ctx, self, column_cell(pks, i), ts[i], NULL));
    for (size_t i = 0; i < pks->n && s_died(self); i++)
        TRY(s_kill(ctx, self, column_cell(pks, i), ts[i], &n));
    if (ret_n)
        *ret_n = n;
    return OK;
}

static err_t s_apply_delta(ctx_t *ctx, sealed_t *self, const char *key)
{
    owned(delta) delta = NULL;
    TRY(delta_load(ctx, self->store, key, &delta));
    if (delta_segment(delta) != self->id.segment ||
        delta_pks(delta)->type != schema_pk(self->schema)->type)
        return ctx_fail(ctx, ERR_CORRUPT, "%s holds deletes of segment %llu, not of %llu", key,
                        (unsigned long long)delta_segment(delta),
                        (unsigned long long)self->id.segment);
    return sealed_delete(ctx, self, delta_pks(delta), delta_ts(delta), NULL);
}

/* --- life ------------------------------------------ */

static sealed_t *s_new(store_t *store, schema_t *schema, const sealed_files_t *files)
{
    sealed_t *self = mem_new(sizeof *self);
    atomic_init(&self->refs, 1);
    self->schema = schema_ref(schema);
    self->store = store;
    self->id = files->id;
    self->n_parts = files->n_parts;
    self->n_slots = schema_len(schema) + 1;
    self->min_ts = UINT64_MAX;
    self->pk = schema_index(schema, schema_pk(schema));
    self->first = mem_new((files->n_parts + 1) * sizeof *self->first);
    self->slots = mem_new(files->n_parts * self->n_slots * sizeof *self->slots);
    for (size_t i = 0; i < files->n_parts * self->n_slots; i++)
        self->slots[i].key = mem_strdup(files->binlogs[i]);
    pthread_mutex_init(&self->lock, NULL);
    pthread_mutex_init(&self->death_lock, NULL);
    pthread_mutex_init(&self->index_lock, NULL);
    self->indexes = mem_new(schema_len(schema) * sizeof(field_index_t *));
    self->scalars = mem_new(schema_len(schema) * sizeof(field_scalar_t *));
    return self;
}

err_t sealed_open(ctx_t *ctx, store_t *store, schema_t *schema, const sealed_files_t *files,
                  bool preload, sealed_t **ret)
{
    check(ret && *ret == NULL && files->n_rows <= LIMIT_SEGMENT_ROWS);
    owned(sealed) self = s_new(store, schema, files);
    TRY(s_load_ts(ctx, self, (size_t)files->n_rows));
    for (size_t part = 0; part < self->n_parts; part++) {
        TRY(s_load(ctx, self, part, self->pk));
        if (s_slot(self, part, self->pk)->column.valid)
            return ctx_fail(ctx, ERR_CORRUPT, "%s: a primary key is null",
                            s_slot(self, part, self->pk)->key);
    }
    TRY(s_sort_pks(ctx, self));
    for (size_t i = 0; i < files->n_deltalogs; i++)
        TRY(s_apply_delta(ctx, self, files->deltalogs[i]));
    for (size_t part = 0; preload && part < self->n_parts; part++)
        for (size_t i = 0; i < schema_len(schema); i++)
            if (!files->late || !files->late[i])
                TRY(s_load(ctx, self, part, i));
    *ret = take(self);
    return OK;
}

sealed_t *sealed_ref(sealed_t *self)
{
    check(atomic_fetch_add(&self->refs, 1) > 0);
    return self;
}

void sealed_unref(sealed_t **self_p)
{
    sealed_t *self = *self_p;
    *self_p = NULL;
    if (!self || atomic_fetch_sub(&self->refs, 1) > 1)
        return;
    for (size_t i = 0; i < self->n_parts * self->n_slots; i++) {
        s_drop(&self->slots[i]);
        mem_free(atomic_load_explicit(&self->slots[i].room, memory_order_relaxed));
        mem_free(self->slots[i].key);
    }
    mem_free(self->slots);
    mem_free(self->first);
    mem_free(self->ts);
    mem_free(self->order);
    mem_free(s_died(self));
    pthread_mutex_destroy(&self->lock);
    for (size_t i = 0; i < schema_len(self->schema); i++) {
        field_index_unref(&self->indexes[i]);
        field_scalar_unref(&self->scalars[i]);
    }
    mem_free(self->indexes);
    mem_free(self->scalars);
    pthread_mutex_destroy(&self->death_lock);
    pthread_mutex_destroy(&self->index_lock);
    schema_unref(&self->schema);
    mem_free(self);
}

/* --- reading ------------------------------------------ */

schema_t *sealed_schema(const sealed_t *self)   { return self->schema; }
segment_id_t sealed_id(const sealed_t *self)    { return self->id; }
size_t sealed_rows(const sealed_t *self)        { return self->n_rows; }
uint64_t sealed_min_ts(const sealed_t *self)    { return self->min_ts; }
uint64_t sealed_max_ts(const sealed_t *self)    { return self->max_ts; }
size_t sealed_blocks(const sealed_t *self)      { return self->n_parts; }

size_t sealed_bytes(const sealed_t *self)
{
    return atomic_load_explicit(&self->bytes, memory_order_relaxed);
}

segment_block_t sealed_block(const sealed_t *self, size_t i)
{
    check(i < self->n_parts);
    return (segment_block_t){ .first = self->first[i], .n = self->first[i + 1] - self->first[i],
                              .ts = self->ts + self->first[i] };
}

err_t sealed_column(ctx_t *ctx, sealed_t *self, size_t i, size_t field, column_t *ret)
{
    check(i < self->n_parts && field < schema_len(self->schema));
    TRY(s_load(ctx, self, i, field));
    *ret = s_slot(self, i, field)->column;
    return OK;
}

void sealed_hide_rows(const sealed_t *self, size_t i, size_t from, uint64_t read_ts,
                      bitset_t *bits)
{
    segment_block_t rows = sealed_block(self, i);
    _Atomic uint64_t *died = s_died(self);
    check(from <= rows.n && bits->n_bits <= rows.n - from);
    const uint64_t *ts = rows.ts + from;
    for (size_t at = 0; read_ts < self->max_ts && at < bits->n_bits; at++)
        if (ts[at] > read_ts)
            bitset_clear(bits, at);
    size_t first = rows.first + from;
    for (size_t at = 0; died && at < bits->n_bits; at += WORD) {
        uint64_t dead = s_dead(self, died, first + at) & bits->words[at / WORD];
        for (; dead; dead &= dead - 1) {
            size_t bit = at + (size_t)__builtin_ctzll(dead);
            uint64_t death = atomic_load_explicit(&died[first + bit], memory_order_relaxed);
            if (death <= read_ts && death != SEGMENT_ALIVE)
                bitset_clear(bits, bit);
        }
    }
}

bool sealed_shows_all(const sealed_t *self, uint64_t read_ts)
{
    return read_ts >= self->max_ts && !s_died(self);
}

void sealed_hide(const sealed_t *self, size_t i, uint64_t read_ts, bitset_t *bits)
{
    size_t n = sealed_block(self, i).n;
    check(bits->n_bits >= n);
    sealed_hide_rows(self, i, 0, read_ts, &(bitset_t){ .words = bits->words, .n_bits = n });
}

err_t sealed_room(ctx_t *ctx, sealed_t *self, size_t i, size_t field, size_t bytes, void **ret)
{
    check(i < self->n_parts && field < schema_len(self->schema));
    slot_t *slot = s_slot(self, i, field);
    void *room = atomic_load_explicit(&slot->room, memory_order_acquire);
    if (!room) {
        pthread_mutex_lock(&self->lock);
        room = atomic_load_explicit(&slot->room, memory_order_relaxed);
        if (!room && (room = mem_try(ctx, bytes))) {
            s_add_bytes(self, bytes);
            atomic_store_explicit(&slot->room, room, memory_order_release);
        }
        pthread_mutex_unlock(&self->lock);
    }
    if (!room)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes beside a field of segment %llu",
                        bytes, (unsigned long long)self->id.segment);
    *ret = room;
    return OK;
}

void sealed_set_index(sealed_t *self, size_t field, field_index_t **index)
{
    check(field < schema_len(self->schema));
    check(!*index || index_rows(field_index_of(*index)) == self->n_rows);
    s_add_bytes(self, *index ? field_index_bytes(*index) : 0);
    pthread_mutex_lock(&self->index_lock);
    field_index_t *was = self->indexes[field];
    self->indexes[field] = take(*index);
    pthread_mutex_unlock(&self->index_lock);
    if (was)
        atomic_fetch_sub_explicit(&self->bytes, field_index_bytes(was), memory_order_relaxed);
    field_index_unref(&was);
}

field_index_t *sealed_index(sealed_t *self, size_t field)
{
    check(field < schema_len(self->schema));
    pthread_mutex_lock(&self->index_lock);
    field_index_t *index = self->indexes[field];
    if (index)
        field_index_ref(index);
    pthread_mutex_unlock(&self->index_lock);
    return index;
}

void sealed_set_scalar(sealed_t *self, size_t field, field_scalar_t **scalar)
{
    check(field < schema_len(self->schema));
    check(!*scalar || scalar_index_rows(field_scalar_of(*scalar)) == self->n_rows);
    s_add_bytes(self, *scalar ? field_scalar_bytes(*scalar) : 0);
    pthread_mutex_lock(&self->index_lock);
    field_scalar_t *was = self->scalars[field];
    self->scalars[field] = take(*scalar);
    pthread_mutex_unlock(&self->index_lock);
    if (was)
        atomic_fetch_sub_explicit(&self->bytes, field_scalar_bytes(was), memory_order_relaxed);
    field_scalar_unref(&was);
}

field_scalar_t *sealed_scalar(sealed_t *self, size_t field)
{
    check(field < schema_len(self->schema));
    pthread_mutex_lock(&self->index_lock);
    field_scalar_t *scalar = self->scalars[field];
    if (scalar)
        field_scalar_ref(scalar);
    pthread_mutex_unlock(&self->index_lock);
    return scalar;
}

uint64_t sealed_died(const sealed_t *self, size_t row)
{
    check(row < self->n_rows);
    _Atomic uint64_t *died = s_died(self);
    return died ? atomic_load_explicit(&died[row], memory_order_relaxed) : SEGMENT_ALIVE;
}

bool sealed_find(const sealed_t *self, view_t pk, uint64_t read_ts, size_t *ret_row)
{
    bool found = false;
    for (size_t place = s_lower(self, pk); place < self->n_rows; place++) {
        size_t row = s_row(self, place);
        if (!view_eq(s_pk(self, row), pk))
            break;
        uint64_t death = sealed_died(self, row);
        if (self->ts[row] > read_ts || (death <= read_ts && death != SEGMENT_ALIVE))
            continue;
        if (!found || self->ts[row] >= self->ts[*ret_row])
            *ret_row = row;
        found = true;
    }
    return found;
}
