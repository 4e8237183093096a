/* wal_disk - what the local log asks of a disk: one directory of flat files
 *
 * A seam, so that crash tests are ordinary tests: the real one is a directory
 * (wal_disk.c), the other keeps, beside what was written, what would survive a
 * power cut (wal_ram.c).  Calls return 0 or an errno; each is a fault point.
 * One thread at a time.
 */
#ifndef CORE_WAL_WAL_DISK_H
#define CORE_WAL_WAL_DISK_H

#include "core/base/base.h"
#include "core/base/rng.h"
#include "core/base/vec.h"

enum { WAL_FILE_NAME_BYTES = 32 };

typedef struct wal_file_name { char text[WAL_FILE_NAME_BYTES]; } wal_file_name_t;

typedef struct wal_disk wal_disk_t;

typedef struct wal_disk_driver {
    int  (*list)(wal_disk_t *disk, vec_t *ret);         /* of wal_file_name_t, any order */
    int  (*open)(wal_disk_t *disk, const char *name, bool create, int *ret_file, uint64_t *ret_len);
    void (*close)(wal_disk_t *disk, int file);
    int  (*read)(wal_disk_t *disk, int file, uint64_t at, void *into, size_t len);
    int  (*write)(wal_disk_t *disk, int file, uint64_t at, const void *from, size_t len);
    int  (*allocate)(wal_disk_t *disk, int file, uint64_t at, uint64_t len);    /* zeros */
    int  (*truncate)(wal_disk_t *disk, int file, uint64_t len);
    int  (*sync)(wal_disk_t *disk, int file);
    int  (*rename)(wal_disk_t *disk, const char *from, const char *to);
    int  (*remove)(wal_disk_t *disk, const char *name);
    int  (*sync_dir)(wal_disk_t *disk);
    void (*destroy)(wal_disk_t *disk);
} wal_disk_driver_t;

struct wal_disk {
    const wal_disk_driver_t *driver;
    char *name;                 /* owned; for texts */
};

/* The directory, made when it is not there, held by flock until destroyed.
 *
 * Errors  ERR_LOCKED  another process has it open
 *         ERR_DENIED, ERR_DISK, ERR_DISK_FULL
 */
err_t must_use wal_disk_open(ctx_t *ctx, const char *dir, wal_disk_t **ret);
void wal_disk_destroy(wal_disk_t **self_p);

/* Errno as an err_t with a text: "cannot <what> <dir>/<name>: <why>". */
err_t wal_disk_fail(ctx_t *ctx, const wal_disk_t *disk, int error, const char *what,
                    const char *name);

/* Write a small file over the one of that name, in place, so that no room is needed when there
 * is one.  Returns an errno; the file is then anything. */
int must_use wal_disk_put(wal_disk_t *disk, const char *name, const void *ptr, size_t len,
                          bool sync);

/* A disk in memory; room_bytes 0: endless. */
wal_disk_t *wal_ram_new(uint64_t room_bytes);
void wal_ram_set_room(wal_disk_t *disk, uint64_t room_bytes);

/* Cut the power: of what was not synced, each sector of 512 bytes survives or not,
 * and so do unsynced names, all or none.  Files that were open are not any more. */
void wal_ram_crash(wal_disk_t *disk, rng_t *rng);

/* The process died, the machine did not: only open files are lost. */
void wal_ram_kill(wal_disk_t *disk);

/* A file's bytes as they are now, to be damaged in place; NULL when there is none. */
uint8_t *wal_ram_bytes(wal_disk_t *disk, const char *name, uint64_t *ret_len);

#endif
