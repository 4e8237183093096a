/* growing - rows that arrive, in blocks that stay
 *
 *     blocks ──▶ [0] ──▶ first=0   ts[] older[] | id | text: offsets, cells ──▶ … | vec …
 *                [1] ──▶ first=64  …
 *                [2] ──▶ first=192 …            <- being filled
 *
 * A block holds every field's cells for up to `cap` rows.  Fields of a fixed
 * width and the offsets of the others lie in the block's one allocation, cells
 * of varying length in a chunk of their own; a block is closed when its rows or
 * one of its chunks are full.  Blocks begin with 64 rows and double, so a
 * segment of three rows costs little and a big one has few blocks.
 *
 * Publication: the writer copies cells, links the primary keys, and then
 * releases `n`.  A reader acquires `n` and touches nothing at or past it, with
 * two exceptions, which are atomics: a null bit shares its word with rows to come,
 * so the word in which a snapshot ends is loaded atomically into a copy; and the
 * table of primary keys may lead to a row past the snapshot, whose cells were
 * written before it was linked and which `older` leads back from.
 *
 * Deaths: `died` of a block is made at its first delete.  A row's death is only
 * ever lowered.  Rows of one key are chained by `older`, newest first, and a
 * delete stops at a row that is dead already: whatever killed it killed the older
 * ones too.
 */
#include "core/segment/growing.h"

#include <stdatomic.h>

#include "core/base/limits.h"
#include "core/base/rng.h"
#include "core/segment/pk_table.h"

enum {
    FIRST_CAP = 64, ALIGN = 64, FIRST_DIRECTORY = 16,
    CHUNK_LEAST = 1 << 10, CHUNK_MOST = 4 << 20,
};

typedef struct room {           /* one field of one block */
    uint8_t *cells;             /* inside the block, or a chunk */
    size_t cells_cap;           /* of a chunk */
    uint64_t *offsets;          /* [cap + 1]; NULL: cells have a width */
    uint64_t *valid;            /* words; NULL: the field is not nullable */
    _Atomic(void *) derived;    /* owned; the readers', see growing_room */
} room_t;

typedef struct block {
    size_t first, cap;
    size_t used;                /* rows; the writer's */
    uint64_t *ts;               /* [cap] */
    uint32_t *older;            /* [cap] row before with the same key, PK_NO_ROW */
    _Atomic(_Atomic uint64_t *) died;   /* [cap]; NULL: nobody died here */
    room_t rooms[];             /* [schema_len] */
} block_t;

typedef struct directory {
    struct directory *before;   /* owned; readers may still be in it */
    size_t cap;
    block_t *at[];
} directory_t;

struct growing {
    _Atomic int refs;
    schema_t *schema;
    segment_id_t id;
    size_t pk;                  /* the key's place in the schema */
    pk_table_t *table;

    _Atomic(directory_t *) directory;
    _Atomic size_t n_blocks, n; /* published */

    _Atomic size_t bytes, derived_bytes;
    _Atomic uint64_t min_ts, max_ts;

    /* The writer's */
    size_t row_bytes;           /* of all that has a fixed width */
    size_t full_cap;            /* rows of a block, once they have doubled up to it */
    size_t chunk_bytes, died_bytes;
    size_t n_open;              /* blocks in the directory, published or not */
};

/* --- blocks ------------------------------------------ */

static size_t s_words(size_t n)
{
    return (n + 63) / 64;
}

static size_t s_aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static size_t s_width(const growing_t *self, size_t field)
{
    const field_t *f = schema_at(self->schema, field);
    return type_width(f->type, f->dim);
}

/* Point into memory at *at and move on; with base NULL it only counts. */
static void *s_carve(uint8_t *base, size_t *at, size_t bytes)
{
    void *ptr = base ? base + *at : NULL;
    *at += s_aligned(bytes);
    return ptr;
}

/* Lay a block of cap rows out in base; NULL: only tell its size. */
static size_t s_lay_out(const growing_t *self, block_t *block, uint8_t *base, size_t cap)
{
    size_t at = 0, n = schema_len(self->schema);
    uint64_t *ts = s_carve(base, &at, cap * sizeof *ts);
    uint32_t *older = s_carve(base, &at, cap * sizeof *older);
    if (base) {
        block->ts = ts;
        block->older = older;
    }
    for (size_t i = 0; i < n; i++) {
        size_t width = s_width(self, i);
        bool nullable = schema_at(self->schema, i)->nullable;
        void *cells = s_carve(base, &at, width ? cap * width : (cap + 1) * sizeof(uint64_t));
        void *valid = nullable ? s_carve(base, &at, s_words(cap) * sizeof(uint64_t)) : NULL;
        if (!base)
            continue;
        block->rooms[i].cells = width ? cells : NULL;
        block->rooms[i].offsets = width ? NULL : cells;
        block->rooms[i].valid = valid;
    }
    return at;
}

static void s_block_free(const growing_t *self, block_t *block)
{
    for (size_t i = 0; i < schema_len(self->schema); i++) {
        if (block->rooms[i].offsets)
            mem_free(block->rooms[i].cells);
        mem_free(atomic_load(&block->rooms[i].derived));
    }
    mem_free(atomic_load(&block->died));
    mem_free(block);
}

/* Bytes for a chunk: what these rows would take if they filled the block, and a quarter. */
static size_t s_chunk_bytes(const column_t *c, size_t from, size_t cap)
{
    uint64_t have = c->offsets[c->n] - c->offsets[from];
    uint64_t want = have / (c->n - from) * cap;
    want += want / 4 + CHUNK_LEAST;
    uint64_t first = c->offsets[from + 1] - c->offsets[from];
    if (want > CHUNK_MOST)
        want = CHUNK_MOST;
    return first > want ? first : want;
}

/* A new block for rows `from`… of these columns. */
static block_t *s_block_new(ctx_t *ctx, growing_t *self, size_t first, const column_t *columns,
                            size_t from)
{
    size_t n = schema_len(self->schema), cap = FIRST_CAP;
    for (size_t i = 0; i < self->n_open && cap < self->full_cap; i++)
        cap *= 2;
    size_t head = sizeof(block_t) + n * sizeof(room_t);
    uint8_t *memory = mem_try(ctx, head + ALIGN + s_lay_out(self, NULL, NULL, cap));
    if (!memory)
        return NULL;
    block_t *block = (block_t *)(void *)memory;
    size_t skip = head + (-(uintptr_t)(memory + head) & (ALIGN - 1));
    s_lay_out(self, block, memory + skip, cap);
    block->first = first;
    block->cap = cap;
    for (size_t i = 0; i < n; i++) {
        room_t *room = &block->rooms[i];
        if (!room->offsets)
            continue;
        room->cells_cap = s_chunk_bytes(&columns[i], from, cap);
        room->cells = mem_try(ctx, room->cells_cap);
        if (!room->cells) {
            s_block_free(self, block);
            return NULL;
        }
    }
    return block;
}

static directory_t *s_directory(const growing_t *self)
{
    return atomic_load_explicit(&self->directory, memory_order_acquire);
}

static block_t *s_block_at(const growing_t *self, size_t i)
{
    return s_directory(self)->at[i];
}

/* Room for one more block in the directory. */
static err_t s_grow_directory(ctx_t *ctx, growing_t *self)
{
    directory_t *old = s_directory(self);
    if (old && self->n_open < old->cap)
        return OK;
    size_t cap = old ? old->cap * 2 : FIRST_DIRECTORY;
    directory_t *grown = mem_try(ctx, sizeof *grown + cap * sizeof grown->at[0]);
    if (!grown)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu blocks of a growing segment", cap);
    grown->cap = cap;
    grown->before = old;
    if (old)
        memcpy(grown->at, old->at, self->n_open * sizeof grown->at[0]);
    atomic_store_explicit(&self->directory, grown, memory_order_release);
    return OK;
}

static err_t s_open_block(ctx_t *ctx, growing_t *self, const column_t *columns, size_t from)
{
    TRY(s_grow_directory(ctx, self));
    block_t *last = self->n_open ? s_block_at(self, self->n_open - 1) : NULL;
    size_t first = last ? last->first + last->used : 0;
    block_t *block = s_block_new(ctx, self, first, columns, from);
    if (!block)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for more rows of segment %llu",
                        (unsigned long long)self->id.segment);
    s_directory(self)->at[self->n_open++] = block;
    return OK;
}

/* Which of n_blocks holds the row. */
static size_t s_find_block(const growing_t *self, size_t n_blocks, size_t row)
{
    block_t *const *at = s_directory(self)->at;
    size_t low = 0, high = n_blocks;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (at[mid]->first <= row)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static const block_t *s_holds(const growing_t *self, uint32_t row)
{
    size_t n_blocks = atomic_load_explicit(&self->n_blocks, memory_order_acquire);
    return s_block_at(self, s_find_block(self, n_blocks, row));
}

/* --- life ------------------------------------------ */

growing_t *growing_new(schema_t *schema, segment_id_t id)
{
    growing_t *self = mem_new(sizeof *self);
    atomic_init(&self->refs, 1);
    atomic_init(&self->min_ts, UINT64_MAX);
    self->schema = schema_ref(schema);
    self->id = id;
    self->pk = schema_index(schema, schema_pk(schema));
    self->table = pk_table_new(rng_from_os());
    self->row_bytes = sizeof(uint64_t) + sizeof(uint32_t);
    for (size_t i = 0; i < schema_len(schema); i++)
        self->row_bytes += s_width(self, i) ? s_width(self, i) : sizeof(uint64_t);
    self->full_cap = FIRST_CAP;
    while (self->full_cap < LIMIT_BLOCK_ROWS &&
           self->full_cap * 2 * self->row_bytes <= LIMIT_BLOCK_BYTES)
        self->full_cap *= 2;
    return self;
}

growing_t *growing_ref(growing_t *self)
{
    check(atomic_fetch_add(&self->refs, 1) > 0);
    return self;
}

void growing_unref(growing_t **self_p)
{
    growing_t *self = *self_p;
    *self_p = NULL;
    if (!self || atomic_fetch_sub(&self->refs, 1) > 1)
        return;
    for (size_t i = 0; i < self->n_open; i++)
        s_block_free(self, s_block_at(self, i));
    for (directory_t *d = s_directory(self); d; ) {
        directory_t *before = d->before;
        mem_free(d);
        d = before;
    }
    pk_table_destroy(&self->table);
    schema_unref(&self->schema);
    mem_free(self);
}

bool growing_is_shared(const growing_t *self)
{
    return atomic_load_explicit(&self->refs, memory_order_acquire) > 1;
}

schema_t *growing_schema(const growing_t *self)     { return self->schema; }
segment_id_t growing_id(const growing_t *self)      { return self->id; }

size_t growing_rows(const growing_t *self)
{
    return atomic_load_explicit(&self->n, memory_order_acquire);
}

size_t growing_bytes(const growing_t *self)
{
    return atomic_load_explicit(&self->bytes, memory_order_relaxed) +
           atomic_load_explicit(&self->derived_bytes, memory_order_relaxed);
}

uint64_t growing_min_ts(const growing_t *self)
{
    return atomic_load_explicit(&self->min_ts, memory_order_relaxed);
}

uint64_t growing_max_ts(const growing_t *self)
{
    return atomic_load_explicit(&self->max_ts, memory_order_relaxed);
}

/* --- appending ------------------------------------------ */

/* How many of the rows from `from` on fit into the block. */
static size_t s_fit(const growing_t *self, const block_t *block, const column_t *columns,
                    size_t from)
{
    size_t n = columns[0].n - from, left = block->cap - block->used;
    n = n < left ? n : left;
    for (size_t i = 0; i < schema_len(self->schema) && n; i++) {
        const room_t *room = &block->rooms[i];
        if (!room->offsets)
            continue;
        uint64_t most = columns[i].offsets[from] + room->cells_cap - room->offsets[block->used];
        size_t low = 0, high = n;
        while (low < high) {
            size_t mid = low + (high - low + 1) / 2;
            if (columns[i].offsets[from + mid] <= most)
                low = mid;
            else
                high = mid - 1;
        }
        n = low;
    }
    return n;
}

static void s_copy_valid(room_t *room, size_t at, const column_t *c, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t *word = &room->valid[(at + i) >> 6], bit = 1ull << ((at + i) & 63);
        uint64_t now = column_is_null(c, from + i) ? *word & ~bit : *word | bit;
        __atomic_store_n(word, now, __ATOMIC_RELAXED);
    }
}

static void s_copy_field(room_t *room, size_t at, const column_t *c, size_t from, size_t n)
{
    if (room->valid)
        s_copy_valid(room, at, c, from, n);
    if (c->width) {
        memcpy(room->cells + at * c->width, c->cells + from * c->width, n * c->width);
        return;
    }
    uint64_t shift = room->offsets[at] - c->offsets[from];
    size_t bytes = (size_t)(c->offsets[from + n] - c->offsets[from]);
    if (bytes)
        memcpy(room->cells + room->offsets[at], c->cells + c->offsets[from], bytes);
    for (size_t i = 1; i <= n; i++)
        room->offsets[at + i] = c->offsets[from + i] + shift;
}

/* Timestamps of rows that are appended: one of each, or one of all. */
typedef struct stamps { const uint64_t *each; uint64_t all; } stamps_t;

static uint64_t s_stamp(const stamps_t *ts, size_t row)
{
    return ts->each ? ts->each[row] : ts->all;
}

/* Fill blocks without telling anybody.  On failure some rows are in, not published. */
static err_t s_fill(ctx_t *ctx, growing_t *self, const column_t *columns, const stamps_t *ts)
{
    size_t n_rows = columns[0].n;
    for (size_t done = 0; done < n_rows; ) {
        block_t *block = self->n_open ? s_block_at(self, self->n_open - 1) : NULL;
        size_t n = block ? s_fit(self, block, columns, done) : 0;
        if (n == 0) {
            TRY(s_open_block(ctx, self, columns, done));
            continue;
        }
        for (size_t i = 0; i < schema_len(self->schema); i++)
            s_copy_field(&block->rooms[i], block->used, &columns[i], done, n);
        for (size_t i = 0; i < n; i++)
            block->ts[block->used + i] = s_stamp(ts, done + i);
        block->used += n;
        done += n;
    }
    return OK;
}

/* Forget what s_fill left behind: back to n_blocks with n rows. */
static void s_take_back(growing_t *self)
{
    size_t n_blocks = atomic_load_explicit(&self->n_blocks, memory_order_relaxed);
    size_t n = atomic_load_explicit(&self->n, memory_order_relaxed);
    while (self->n_open > n_blocks)
        s_block_free(self, s_block_at(self, --self->n_open));
    if (n_blocks)
        s_block_at(self, n_blocks - 1)->used = n - s_block_at(self, n_blocks - 1)->first;
}

static view_t s_cell(const growing_t *self, const block_t *block, size_t field, size_t at)
{
    const room_t *room = &block->rooms[field];
    if (!room->offsets)
        return view_of(room->cells + at * s_width(self, field), s_width(self, field));
    return view_of(room->cells + room->offsets[at],
                   (size_t)(room->offsets[at + 1] - room->offsets[at]));
}

typedef struct pk_key { const growing_t *self; view_t pk; } pk_key_t;

static bool s_has_key(const void *arg, uint32_t row)
{
    const pk_key_t *key = arg;
    const block_t *block = s_holds(key->self, row);
    return view_eq(s_cell(key->self, block, key->self->pk, row - block->first), key->pk);
}

/* Link the rows from n on, which are filled, under their keys. */
static void s_link(growing_t *self, size_t n)
{
    for (size_t b = s_find_block(self, self->n_open, n); b < self->n_open; b++) {
        block_t *block = s_block_at(self, b);
        for (size_t at = n > block->first ? n - block->first : 0; at < block->used; at++) {
            pk_key_t key = { self, s_cell(self, block, self->pk, at) };
            pk_table_put(self->table, pk_table_hash(self->table, key.pk),
                         (uint32_t)(block->first + at), &block->older[at], s_has_key, &key);
        }
    }
}

static void s_count(growing_t *self, const column_t *columns, size_t end, const stamps_t *ts)
{
    for (size_t i = 0; i < schema_len(self->schema); i++)
        if (!columns[i].width)
            self->chunk_bytes += (size_t)(columns[i].offsets[columns[i].n] - columns[i].offsets[0]);
    atomic_store_explicit(&self->bytes, end * self->row_bytes + self->chunk_bytes +
                          self->died_bytes + pk_table_bytes(self->table), memory_order_relaxed);
    if (atomic_load_explicit(&self->min_ts, memory_order_relaxed) == UINT64_MAX)
        atomic_store_explicit(&self->min_ts, s_stamp(ts, 0), memory_order_relaxed);
    atomic_store_explicit(&self->max_ts, s_stamp(ts, columns[0].n - 1), memory_order_relaxed);
}

static void s_check_stamps(const growing_t *self, const stamps_t *ts, size_t n)
{
    check(s_stamp(ts, 0) >= growing_max_ts(self) && s_stamp(ts, n - 1) != UINT64_MAX);
    for (size_t i = 1; ts->each && i < n; i++)
        check(ts->each[i - 1] <= ts->each[i]);
}

static void s_check_columns(const growing_t *self, const column_t *columns)
{
    for (size_t i = 0; i < schema_len(self->schema); i++) {
        const field_t *field = schema_at(self->schema, i);
        check(columns[i].n == columns[0].n && columns[i].type == field->type &&
              columns[i].width == type_width(field->type, field->dim));
        for (size_t row = 0; columns[i].valid && !field->nullable && row < columns[i].n; row++)
            check(!column_is_null(&columns[i], row));
    }
}

static err_t s_append(ctx_t *ctx, growing_t *self, const column_t *columns, const stamps_t *ts)
{
    s_check_columns(self, columns);
    size_t n = atomic_load_explicit(&self->n, memory_order_relaxed), more = columns[0].n;
    if (more == 0)
        return OK;
    s_check_stamps(self, ts, more);
    if (more > LIMIT_SEGMENT_ROWS - n)
        return ctx_fail(ctx, ERR_CAPACITY_EXCEEDED, "segment %llu has %zu rows, %zu more are too "
                        "many: seal it", (unsigned long long)self->id.segment, n, more);
    err_t err = pk_table_reserve(ctx, self->table, more);
    if (err == OK)
        err = s_fill(ctx, self, columns, ts);
    if (err != OK) {
        s_take_back(self);
        return err;
    }
    atomic_store_explicit(&self->n_blocks, self->n_open, memory_order_release);
    s_link(self, n);
    s_count(self, columns, n + more, ts);
    atomic_store_explicit(&self->n, n + more, memory_order_release);
    return OK;
}

err_t growing_append(ctx_t *ctx, growing_t *self, const column_t *columns, uint64_t ts)
{
    return s_append(ctx, self, columns, &(stamps_t){ .all = ts });
}

err_t growing_append_each(ctx_t *ctx, growing_t *self, const column_t *columns, const uint64_t *ts)
{
    return s_append(ctx, self, columns, &(stamps_t){ .each = ts });
}

/* --- deleting ------------------------------------------ */

static _Atomic uint64_t *s_died(const block_t *block)
{
    return atomic_load_explicit(&block->died, memory_order_acquire);
}

static err_t s_make_died(ctx_t *ctx, growing_t *self, block_t *block)
{
    if (s_died(block))
        return OK;
    _Atomic uint64_t *died = mem_try(ctx, block->cap * sizeof *died);
    if (!died)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for deletes in segment %llu",
                        (unsigned long long)self->id.segment);
    for (size_t i = 0; i < block->cap; i++)
        atomic_init(&died[i], SEGMENT_ALIVE);
    atomic_store_explicit(&block->died, died, memory_order_release);
    self->died_bytes += block->cap * sizeof *died;
    atomic_fetch_add_explicit(&self->bytes, block->cap * sizeof *died, memory_order_relaxed);
    return OK;
}

/* Walk the rows of a key that a delete at ts hits.  ret_n NULL: only make room, which is
 * all that can fail; else mark them and count. */
static err_t s_kill(ctx_t *ctx, growing_t *self, view_t pk, uint64_t ts, size_t *ret_n)
{
    pk_key_t key = { self, pk };
    uint32_t row = pk_table_find(self->table, pk_table_hash(self->table, pk), s_has_key, &key);
    while (row != PK_NO_ROW) {
        block_t *block = s_block_at(self, s_find_block(self, self->n_open, row));
        size_t at = row - block->first;
        row = block->older[at];
        if (block->ts[at] >= ts)
            continue;                           /* newer than the delete, or its own upsert */
        if (!ret_n)
            TRY(s_make_died(ctx, self, block));
        _Atomic uint64_t *died = s_died(block);
        if (atomic_load_explicit(&died[at], memory_order_relaxed) <= ts)
            return OK;                          /* and so are all older ones */
        if (ret_n) {
            atomic_store_explicit(&died[at], ts, memory_order_release);
            ++*ret_n;
        }
    }
    return OK;
}

err_t growing_delete(ctx_t *ctx, growing_t *self, const column_t *pks, uint64_t ts, size_t *ret_n)
{
    check(pks->type == schema_pk(self->schema)->type);
    size_t n = 0;
    for (size_t i = 0; i < pks->n; i++)
        TRY(s_kill(ctx, self, column_cell(pks, i), ts, NULL));
    for (size_t i = 0; i < pks->n; i++)
        TRY(s_kill(ctx, self, column_cell(pks, i), ts, &n));
    if (ret_n)
        *ret_n = n;
    return OK;
}

/* --- reading ------------------------------------------ */

/* How many of the n rows have row_ts <= read_ts: they come first. */
static size_t s_prefix(const growing_t *self, size_t n_blocks, size_t n, uint64_t read_ts)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const block_t *block = s_block_at(self, s_find_block(self, n_blocks, mid));
        if (block->ts[mid - block->first] <= read_ts)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

growing_snapshot_t growing_at(const growing_t *self, uint64_t read_ts)
{
    size_t n = atomic_load_explicit(&self->n, memory_order_acquire);
    size_t n_blocks = atomic_load_explicit(&self->n_blocks, memory_order_acquire);
    growing_snapshot_t snap = {
        .segment = self, .n = n,
        .read_ts = read_ts < SEGMENT_ALIVE ? read_ts : SEGMENT_ALIVE - 1,
    };
    if (n && growing_max_ts(self) > read_ts)
        snap.n = s_prefix(self, n_blocks, n, read_ts);
    if (snap.n)
        snap.n_blocks = s_find_block(self, n_blocks, snap.n - 1) + 1;
    return snap;
}

segment_block_t growing_block(const growing_snapshot_t *snap, size_t i)
{
    check(i < snap->n_blocks);
    const block_t *block = s_block_at(snap->segment, i);
    size_t end = i + 1 < snap->n_blocks ? s_block_at(snap->segment, i + 1)->first : snap->n;
    return (segment_block_t){ .first = block->first, .n = end - block->first, .ts = block->ts };
}

/* The valid bits of n rows: as they lie when they end with a word, else a copy, because
 * the writer goes on in the last word. */
static err_t s_valid(ctx_t *ctx, const room_t *room, size_t n, const uint64_t **ret)
{
    if (!room->valid || n % 64 == 0) {
        *ret = room->valid;
        return OK;
    }
    uint64_t *copy = ctx_try(ctx, s_words(n) * sizeof *copy);
    if (!copy)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the nulls of %zu rows", n);
    memcpy(copy, room->valid, n / 64 * sizeof *copy);
    copy[n / 64] = __atomic_load_n(&room->valid[n / 64], __ATOMIC_RELAXED);
    *ret = copy;
    return OK;
}

err_t growing_column(ctx_t *ctx, const growing_snapshot_t *snap, size_t i, size_t field,
                     column_t *ret)
{
    segment_block_t rows = growing_block(snap, i);
    const room_t *room = &s_block_at(snap->segment, i)->rooms[field];
    const field_t *f = schema_at(snap->segment->schema, field);
    column_t c = {
        .type = f->type, .element = f->element, .width = type_width(f->type, f->dim), .n = rows.n,
        .cells = room->cells, .offsets = room->offsets,
    };
    TRY(s_valid(ctx, room, rows.n, &c.valid));
    *ret = c;
    return OK;
}

err_t growing_room(ctx_t *ctx, const growing_snapshot_t *snap, size_t i, size_t field,
                   size_t bytes, void **ret, size_t *ret_cap)
{
    block_t *block = s_block_at(snap->segment, i);
    _Atomic(void *) *at = &block->rooms[field].derived;
    *ret_cap = block->cap;
    *ret = atomic_load_explicit(at, memory_order_acquire);
    if (*ret)
        return OK;
    void *made = mem_try(ctx, block->cap * bytes), *there = NULL;
    if (!made)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes beside a field of segment %llu",
                        block->cap * bytes, (unsigned long long)snap->segment->id.segment);
    if (atomic_compare_exchange_strong(at, &there, made)) {
        atomic_fetch_add_explicit((_Atomic size_t *)&snap->segment->derived_bytes,
                                  block->cap * bytes, memory_order_relaxed);
        *ret = made;
        return OK;
    }
    mem_free(made);                             /* another reader was first */
    *ret = there;
    return OK;
}

void growing_hide(const growing_snapshot_t *snap, size_t i, bitset_t *bits)
{
    segment_block_t rows = growing_block(snap, i);
    _Atomic uint64_t *died = s_died(s_block_at(snap->segment, i));
    check(bits->n_bits >= rows.n);
    for (size_t at = 0; died && at < rows.n; at++)
        if (atomic_load_explicit(&died[at], memory_order_relaxed) <= snap->read_ts)
            bitset_clear(bits, at);
}

size_t growing_block_of(const growing_snapshot_t *snap, size_t row)
{
    check(row < snap->n);
    return s_find_block(snap->segment, snap->n_blocks, row);
}

uint64_t growing_died(const growing_snapshot_t *snap, size_t row)
{
    const block_t *block = s_block_at(snap->segment, growing_block_of(snap, row));
    _Atomic uint64_t *died = s_died(block);
    return died ? atomic_load_explicit(&died[row - block->first], memory_order_relaxed)
                : SEGMENT_ALIVE;
}

bool growing_find(const growing_snapshot_t *snap, view_t pk, size_t *ret_row)
{
    const growing_t *self = snap->segment;
    pk_key_t key = { self, pk };
    uint32_t row = pk_table_find(self->table, pk_table_hash(self->table, pk), s_has_key, &key);
    while (row != PK_NO_ROW && row >= snap->n) {
        const block_t *block = s_holds(self, row);
        row = block->older[row - block->first];
    }
    if (row == PK_NO_ROW || growing_died(snap, row) <= snap->read_ts)
        return false;                           /* dead: then the older ones are too */
    *ret_row = row;
    return true;
}
