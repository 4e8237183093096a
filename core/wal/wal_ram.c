/* wal_ram - a disk in memory that knows what a power cut would leave
 *
 * Each file has its bytes and the bytes of its last sync; there is a list of
 * names and the list of the last sync_dir.  Meant for small logs: tests and the
 * simulator.  Files live until the disk is destroyed, so that an unsynced
 * removal can be undone.
 */
#include <errno.h>
#include <stdio.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/wal/wal_disk.h"

enum { SECTOR_BYTES = 512 };

typedef struct file { buf_t now, kept; int open; } file_t;
typedef struct entry { wal_file_name_t name; file_t *file; } entry_t;

typedef struct ram {
    wal_disk_t base;
    uint64_t room_bytes;
    vec_t files;                /* of file_t *, all there ever were; a handle is an index */
    vec_t now, kept;            /* of entry_t */
} ram_t;

static file_t *s_file(wal_disk_t *disk, int file)
{
    ram_t *self = (ram_t *)disk;
    file_t *found = *(file_t **)vec_at(&self->files, (size_t)file);
    check(found->open > 0);
    return found;
}

static entry_t *s_find(ram_t *self, const char *name, size_t *ret_i)
{
    for (size_t i = 0; i < self->now.len; i++) {
        entry_t *entry = vec_at(&self->now, i);
        if (strcmp(entry->name.text, name) == 0) {
            *ret_i = i;
            return entry;
        }
    }
    return NULL;
}

static uint64_t s_used(const ram_t *self)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < self->now.len; i++)
        sum += ((entry_t *)vec_at(&self->now, i))->file->now.len;
    return sum;
}

/* A buffer is a fault point too, but the faults of a disk are the calls': ask again. */
static uint8_t *s_reserve(buf_t *bytes, size_t len)
{
    uint8_t *more = buf_reserve(bytes, len);
    bytes->failed = false;
    if (!more)
        more = buf_reserve(bytes, len);
    check(more);
    return more;
}

static void s_copy_bytes(const buf_t *from, buf_t *to)
{
    buf_reset(to);
    s_reserve(to, from->len);
    buf_add_view(to, buf_view(from));
}

static void s_resize(buf_t *bytes, uint64_t len)
{
    if (len > bytes->len) {
        uint8_t *more = s_reserve(bytes, (size_t)len - bytes->len);
        memset(more, 0, (size_t)len - bytes->len);
    }
    bytes->len = (size_t)len;
}

static int s_list(wal_disk_t *disk, vec_t *ret)
{
    ram_t *self = (ram_t *)disk;
    if (fault_hit())
        return EIO;
    for (size_t i = 0; i < self->now.len; i++)
        vec_push(ret, &((entry_t *)vec_at(&self->now, i))->name);
    return 0;
}

static int s_handle(ram_t *self, const file_t *file)
{
    for (size_t i = 0; i < self->files.len; i++)
        if (*(file_t **)vec_at(&self->files, i) == file)
            return (int)i;
    check(false);
    return -1;
}

static int s_open(wal_disk_t *disk, const char *name, bool create, int *ret_file, uint64_t *ret_len)
{
    ram_t *self = (ram_t *)disk;
    size_t i = 0;
    if (fault_hit())
        return EIO;
    entry_t *entry = s_find(self, name, &i);
    if (!entry && !create)
        return ENOENT;
    if (!entry) {
        entry_t made = { .file = mem_new(sizeof *made.file) };
        snprintf(made.name.text, sizeof made.name.text, "%s", name);
        vec_push(&self->files, &made.file);
        entry = vec_push(&self->now, &made);
    }
    entry->file->open++;
    *ret_file = s_handle(self, entry->file);
    if (create)
        s_resize(&entry->file->now, 0);
    *ret_len = entry->file->now.len;
    return 0;
}

static void s_close(wal_disk_t *disk, int file)
{
    s_file(disk, file)->open--;
}

static int s_read(wal_disk_t *disk, int file, uint64_t at, void *into, size_t len)
{
    buf_t *bytes = &s_file(disk, file)->now;
    if (fault_hit() || at > bytes->len || len > bytes->len - at)
        return EIO;
    memcpy(into, bytes->ptr + at, len);
    return 0;
}

/* Make room up to `end`, or not. */
static int s_grow(wal_disk_t *disk, buf_t *bytes, uint64_t end)
{
    ram_t *self = (ram_t *)disk;
    if (end <= bytes->len)
        return 0;
    if (self->room_bytes && s_used(self) + (end - bytes->len) > self->room_bytes)
        return ENOSPC;
    s_resize(bytes, end);
    return 0;
}

/* A write that fails may have written a part. */
static int s_write(wal_disk_t *disk, int file, uint64_t at, const void *from, size_t len)
{
    buf_t *bytes = &s_file(disk, file)->now;
    bool fault = fault_hit();
    size_t n = fault ? len / 2 : len;
    int error = s_grow(disk, bytes, at + n);
    if (error)
        return error;
    memcpy(bytes->ptr + at, from, n);
    return fault ? EIO : 0;
}

static int s_allocate(wal_disk_t *disk, int file, uint64_t at, uint64_t len)
{
    return fault_hit() ? ENOSPC : s_grow(disk, &s_file(disk, file)->now, at + len);
}

static int s_truncate(wal_disk_t *disk, int file, uint64_t len)
{
    buf_t *bytes = &s_file(disk, file)->now;
    if (fault_hit())
        return EIO;
    s_resize(bytes, len);
    return 0;
}

static int s_sync(wal_disk_t *disk, int file)
{
    file_t *f = s_file(disk, file);
    if (fault_hit())
        return EIO;
    s_copy_bytes(&f->now, &f->kept);
    return 0;
}

static int s_remove(wal_disk_t *disk, const char *name)
{
    ram_t *self = (ram_t *)disk;
    size_t i = 0;
    if (fault_hit())
        return EIO;
    if (!s_find(self, name, &i))
        return ENOENT;
    vec_swap_remove(&self->now, i);
    return 0;
}

static int s_rename(wal_disk_t *disk, const char *from, const char *to)
{
    ram_t *self = (ram_t *)disk;
    size_t i = 0;
    if (fault_hit())
        return EIO;
    if (strcmp(from, to) != 0 && s_find(self, to, &i))
        vec_swap_remove(&self->now, i);
    entry_t *entry = s_find(self, from, &i);
    if (!entry)
        return ENOENT;
    snprintf(entry->name.text, sizeof entry->name.text, "%s", to);
    return 0;
}

static void s_copy_names(const vec_t *from, vec_t *to)
{
    to->len = 0;
    for (size_t i = 0; i < from->len; i++)
        vec_push(to, vec_at(from, i));
}

static int s_sync_dir(wal_disk_t *disk)
{
    ram_t *self = (ram_t *)disk;
    if (fault_hit())
        return EIO;
    s_copy_names(&self->now, &self->kept);
    return 0;
}

static void s_destroy(wal_disk_t *disk)
{
    ram_t *self = (ram_t *)disk;
    for (size_t i = 0; i < self->files.len; i++) {
        file_t *file = *(file_t **)vec_at(&self->files, i);
        buf_fini(&file->now);
        buf_fini(&file->kept);
        mem_free(file);
    }
    vec_fini(&self->files);
    vec_fini(&self->now);
    vec_fini(&self->kept);
}

static const wal_disk_driver_t s_driver = {
    .list = s_list, .open = s_open, .close = s_close, .read = s_read, .write = s_write,
    .allocate = s_allocate, .truncate = s_truncate, .sync = s_sync, .rename = s_rename,
    .remove = s_remove, .sync_dir = s_sync_dir, .destroy = s_destroy,
};

wal_disk_t *wal_ram_new(uint64_t room_bytes)
{
    ram_t *self = mem_new(sizeof *self);
    *self = (ram_t){ .base = { .driver = &s_driver, .name = mem_strdup("ram") } };
    self->room_bytes = room_bytes;
    vec_init(&self->files, sizeof(file_t *));
    vec_init(&self->now, sizeof(entry_t));
    vec_init(&self->kept, sizeof(entry_t));
    return &self->base;
}

void wal_ram_set_room(wal_disk_t *disk, uint64_t room_bytes)
{
    check(disk->driver == &s_driver);
    ((ram_t *)disk)->room_bytes = room_bytes;
}

/* Sector by sector, old or new. */
static void s_lose(file_t *file, rng_t *rng)
{
    if (rng_chance(rng, 0.5))
        s_resize(&file->now, file->now.len > file->kept.len ? file->now.len : file->kept.len);
    size_t len = file->now.len;
    s_resize(&file->kept, len);
    for (size_t at = 0; at < len; at += SECTOR_BYTES) {
        size_t n = len - at < SECTOR_BYTES ? len - at : SECTOR_BYTES;
        if (rng_chance(rng, 0.5))
            memcpy(file->now.ptr + at, file->kept.ptr + at, n);
    }
    s_copy_bytes(&file->now, &file->kept);
}

void wal_ram_kill(wal_disk_t *disk)
{
    ram_t *self = (ram_t *)disk;
    check(disk->driver == &s_driver);
    for (size_t i = 0; i < self->files.len; i++)
        (*(file_t **)vec_at(&self->files, i))->open = 0;
}

void wal_ram_crash(wal_disk_t *disk, rng_t *rng)
{
    ram_t *self = (ram_t *)disk;
    wal_ram_kill(disk);
    for (size_t i = 0; i < self->files.len; i++)
        s_lose(*(file_t **)vec_at(&self->files, i), rng);
    bool names_kept = rng_chance(rng, 0.5);
    s_copy_names(names_kept ? &self->now : &self->kept, names_kept ? &self->kept : &self->now);
}

uint8_t *wal_ram_bytes(wal_disk_t *disk, const char *name, uint64_t *ret_len)
{
    size_t i = 0;
    check(disk->driver == &s_driver);
    entry_t *entry = s_find((ram_t *)disk, name, &i);
    if (!entry)
        return NULL;
    *ret_len = entry->file->now.len;
    return entry->file->now.ptr;
}
