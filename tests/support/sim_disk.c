/* sim_disk - see sim_disk.h */
#include "tests/support/sim_disk.h"

#include <errno.h>

#include "core/base/map.h"

typedef struct platter {
    sim_disks_t *all;
    wal_disk_t *ram;
    bool open;
} platter_t;

struct sim_disks {
    map_t *platters;            /* name -> platter_t, owned */
    bool off, full;
    uint64_t cut_at, fail_at;   /* calls from now; 0: never */
};

typedef struct { wal_disk_t base; platter_t *platter; } drive_t;

static platter_t *s_platter(wal_disk_t *disk)
{
    return ((drive_t *)disk)->platter;
}

static bool s_fails(sim_disks_t *self)
{
    if (self->cut_at > 0 && --self->cut_at == 0)
        self->off = true;
    bool fault = self->fail_at > 0 && --self->fail_at == 0;
    return self->off || fault;
}

#define CALL(name, params, ...) \
    static int s_##name params \
    { \
        platter_t *platter = s_platter(disk); \
        return s_fails(platter->all) ? EIO \
                                     : platter->ram->driver->name(platter->ram, ##__VA_ARGS__); \
    }
CALL(list, (wal_disk_t *disk, vec_t *ret), ret)
CALL(open, (wal_disk_t *disk, const char *name, bool create, int *ret, uint64_t *len), name,
     create, ret, len)
CALL(read, (wal_disk_t *disk, int file, uint64_t at, void *into, size_t len), file, at, into, len)
CALL(write, (wal_disk_t *disk, int file, uint64_t at, const void *from, size_t len), file, at,
     from, len)
CALL(allocate, (wal_disk_t *disk, int file, uint64_t at, uint64_t len), file, at, len)
CALL(truncate, (wal_disk_t *disk, int file, uint64_t len), file, len)
CALL(sync, (wal_disk_t *disk, int file), file)
CALL(rename, (wal_disk_t *disk, const char *from, const char *to), from, to)
CALL(remove, (wal_disk_t *disk, const char *name), name)
CALL(sync_dir, (wal_disk_t *disk))
#undef CALL

static void s_close(wal_disk_t *disk, int file)
{
    s_platter(disk)->ram->driver->close(s_platter(disk)->ram, file);
}

static void s_destroy(wal_disk_t *disk)
{
    s_platter(disk)->open = false;
}

static const wal_disk_driver_t s_driver = {
    .list = s_list, .open = s_open, .close = s_close, .read = s_read, .write = s_write,
    .allocate = s_allocate, .truncate = s_truncate, .sync = s_sync, .rename = s_rename,
    .remove = s_remove, .sync_dir = s_sync_dir, .destroy = s_destroy,
};

sim_disks_t *sim_disks_new(void)
{
    sim_disks_t *self = mem_new(sizeof *self);
    self->platters = map_new();
    return self;
}

void sim_disks_destroy(sim_disks_t **self_p)
{
    sim_disks_t *self = *self_p;
    if (!self)
        return;
    void *value = NULL;
    for (size_t at = 0; map_next(self->platters, &at, NULL, &value); ) {
        platter_t *platter = value;
        check(!platter->open);
        wal_disk_destroy(&platter->ram);
        mem_free(platter);
    }
    map_destroy(&self->platters);
    mem_free(self);
    *self_p = NULL;
}

err_t sim_disks_open(ctx_t *ctx, void *arg, const char *name, wal_disk_t **ret)
{
    sim_disks_t *self = arg;
    platter_t *platter = map_get_str(self->platters, name);
    if (!platter) {
        platter = mem_new(sizeof *platter);
        *platter = (platter_t){ .all = self, .ram = wal_ram_new(self->full) };
        map_put_str(self->platters, name, platter);
    }
    if (platter->open)
        return ctx_fail(ctx, ERR_LOCKED, "the log %s is in use by another node", name);
    drive_t *drive = mem_new(sizeof *drive);
    *drive = (drive_t){ .base = { .driver = &s_driver, .name = mem_strdup(name) },
                        .platter = platter };
    platter->open = true;
    *ret = &drive->base;
    return OK;
}

void sim_disks_power(sim_disks_t *self, bool on)
{
    self->off = !on;
}

bool sim_disks_have_power(const sim_disks_t *self)
{
    return !self->off;
}

void sim_disks_cut_at(sim_disks_t *self, uint64_t n)
{
    self->cut_at = n;
}

void sim_disks_fail_at(sim_disks_t *self, uint64_t n)
{
    self->fail_at = n;
}

void sim_disks_crash(sim_disks_t *self, rng_t *rng)
{
    void *value = NULL;
    for (size_t at = 0; map_next(self->platters, &at, NULL, &value); ) {
        check(!((platter_t *)value)->open);
        wal_ram_crash(((platter_t *)value)->ram, rng);
    }
    self->off = false;
    self->cut_at = 0;
}

void sim_disks_fill(sim_disks_t *self, bool full)
{
    void *value = NULL;
    self->full = full;
    for (size_t at = 0; map_next(self->platters, &at, NULL, &value); )
        wal_ram_set_room(((platter_t *)value)->ram, full);
}
