/* wal_disk - the real one: a directory; see wal_disk.h */
#include "core/wal/wal_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fault.h"

enum { DIR_MODE = 0750, FILE_MODE = 0640, ZEROS_BYTES = 64 << 10 };

typedef struct dir { wal_disk_t base; int fd; } dir_t;

static int s_fd(wal_disk_t *disk)
{
    return ((dir_t *)disk)->fd;
}

static int s_list(wal_disk_t *disk, vec_t *ret)
{
    if (fault_hit())
        return EIO;
    int fd = openat(s_fd(disk), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    errno = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        wal_file_name_t name = {0};
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || len >= sizeof name.text)
            continue;                           /* not ours */
        memcpy(name.text, entry->d_name, len);
        vec_push(ret, &name);
    }
    int error = errno;
    closedir(dir);
    return error;
}

static int s_open(wal_disk_t *disk, const char *name, bool create, int *ret_file, uint64_t *ret_len)
{
    if (fault_hit())
        return EIO;
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_TRUNC : 0);
    int fd = openat(s_fd(disk), name, flags, FILE_MODE);
    struct stat st;
    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return EINVAL;
    }
    *ret_file = fd;
    *ret_len = (uint64_t)st.st_size;
    return 0;
}

static void s_close(wal_disk_t *disk, int file)
{
    (void)disk;
    close(file);
}

static int s_read(wal_disk_t *disk, int file, uint64_t at, void *into, size_t len)
{
    (void)disk;
    if (fault_hit())
        return EIO;
    for (size_t done = 0; done < len; ) {
        ssize_t n = pread(file, (char *)into + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;         /* the file shrank */
        done += (size_t)n;
    }
    return 0;
}

static int s_write(wal_disk_t *disk, int file, uint64_t at, const void *from, size_t len)
{
    (void)disk;
    if (fault_hit())
        return EIO;
    for (size_t done = 0; done < len; ) {
        ssize_t n = pwrite(file, (const char *)from + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        done += (size_t)n;
    }
    return 0;
}

/* Where the file system cannot reserve room, zeros are written. */
static int s_allocate(wal_disk_t *disk, int file, uint64_t at, uint64_t len)
{
    if (fault_hit())
        return ENOSPC;
    int failed;
    do
        failed = fallocate(file, 0, (off_t)at, (off_t)len);
    while (failed && errno == EINTR);
    if (!failed || (errno != EOPNOTSUPP && errno != ENOSYS))
        return failed ? errno : 0;
    static const uint8_t s_zeros[ZEROS_BYTES];
    for (uint64_t done = 0; done < len; done += ZEROS_BYTES) {
        uint64_t n = len - done < ZEROS_BYTES ? len - done : ZEROS_BYTES;
        int error = s_write(disk, file, at + done, s_zeros, (size_t)n);
        if (error)
            return error;
    }
    return 0;
}

static int s_truncate(wal_disk_t *disk, int file, uint64_t len)
{
    (void)disk;
    return fault_hit() ? EIO : ftruncate(file, (off_t)len) ? errno : 0;
}

static int s_sync(wal_disk_t *disk, int file)
{
    (void)disk;
    return fault_hit() ? EIO : fdatasync(file) ? errno : 0;
}

static int s_rename(wal_disk_t *disk, const char *from, const char *to)
{
    return fault_hit() ? EIO : renameat(s_fd(disk), from, s_fd(disk), to) ? errno : 0;
}

static int s_remove(wal_disk_t *disk, const char *name)
{
    return fault_hit() ? EIO : unlinkat(s_fd(disk), name, 0) ? errno : 0;
}

static int s_sync_dir(wal_disk_t *disk)
{
    return fault_hit() ? EIO : fsync(s_fd(disk)) ? errno : 0;
}

static void s_destroy(wal_disk_t *disk)
{
    dir_t *self = (dir_t *)disk;
    if (self->fd >= 0)
        close(self->fd);                        /* and the lock with it */
}

static const wal_disk_driver_t s_driver = {
    .list = s_list, .open = s_open, .close = s_close, .read = s_read, .write = s_write,
    .allocate = s_allocate, .truncate = s_truncate, .sync = s_sync, .rename = s_rename,
    .remove = s_remove, .sync_dir = s_sync_dir, .destroy = s_destroy,
};

/* The directory itself must be on disk before anything in it can be. */
static int s_sync_above(int fd)
{
    int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (above < 0)
        return errno == EACCES ? 0 : errno;
    int error = fsync(above) ? errno : 0;
    close(above);
    return error;
}

err_t wal_disk_open(ctx_t *ctx, const char *dir, wal_disk_t **ret)
{
    check(ret && !*ret);
    dir_t *made = mem_new(sizeof *made);
    *made = (dir_t){ .base = { .driver = &s_driver, .name = mem_strdup(dir) }, .fd = -1 };
    owned(wal_disk) self = &made->base;
    if (fault_hit())
        return wal_disk_fail(ctx, self, EIO, "open", "");
    if (mkdir(dir, DIR_MODE) != 0 && errno != EEXIST)
        return wal_disk_fail(ctx, self, errno, "make the directory", "");
    made->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (made->fd < 0)
        return wal_disk_fail(ctx, self, errno, "open", "");
    if (flock(made->fd, LOCK_EX | LOCK_NB) != 0)
        return ctx_fail(ctx, ERR_LOCKED, "the log %s is in use by another process", dir);
    int error = fault_hit() ? EIO : s_sync_above(made->fd);
    if (error)
        return wal_disk_fail(ctx, self, error, "sync the directory above", "");
    *ret = take(self);
    return OK;
}

void wal_disk_destroy(wal_disk_t **self_p)
{
    if (!*self_p)
        return;
    (*self_p)->driver->destroy(*self_p);
    mem_free((*self_p)->name);
    mem_free(*self_p);
    *self_p = NULL;
}

int wal_disk_put(wal_disk_t *disk, const char *name, const void *ptr, size_t len, bool sync)
{
    int file = -1;
    uint64_t had = 0;
    int error = disk->driver->open(disk, name, false, &file, &had);
    if (error == ENOENT)
        error = disk->driver->open(disk, name, true, &file, &had);
    if (error)
        return error;
    error = disk->driver->write(disk, file, 0, ptr, len);
    if (!error && had > len)
        error = disk->driver->truncate(disk, file, len);
    if (!error && sync)
        error = disk->driver->sync(disk, file);
    disk->driver->close(disk, file);
    return error;
}

err_t wal_disk_fail(ctx_t *ctx, const wal_disk_t *disk, int error, const char *what,
                    const char *name)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return ctx_fail(ctx, ERR_DISK_FULL, "no room left on the disk to %s %s/%s", what,
                        disk->name, name);
    case EACCES:
    case EPERM:
        return ctx_fail(ctx, ERR_DENIED, "no permission to %s %s/%s", what, disk->name, name);
    default:
        return ctx_fail(ctx, ERR_DISK, "cannot %s %s/%s: %s", what, disk->name, name,
                        strerrordesc_np(error) ? strerrordesc_np(error) : "?");
    }
}
