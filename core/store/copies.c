/* copies - see copies.h */
#include "core/store/copies.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/rng.h"

static const char s_prefix[] = "copy-";

enum { DIR_MODE = 0750, FILE_MODE = 0600, NAME_BYTES = 32, FIRST_FILE = 3 };

struct copies {
    _Atomic int refs;           /* the owner's, and one a mapping */
    _Atomic uint64_t bytes;
    copies_options_t options;
    char *dir;                  /* owned */
    int dir_fd;
};

static bool s_fault(int error)
{
    if (!fault_hit())
        return false;
    errno = error;
    return true;
}

static err_t s_fail(ctx_t *ctx, const copies_t *self, const char *what)
{
    int error = errno;
    bool full = error == ENOSPC || error == EDQUOT, denied = error == EACCES || error == EPERM;
    return ctx_fail(ctx, full ? ERR_DISK_FULL : denied ? ERR_DENIED : ERR_DISK,
                    "cannot %s in the directory of local copies, %s: %s", what, self->dir,
                    strerrordesc_np(error));
}

/* --- room ---------------------------------------------------------------------------------- */

uint64_t copies_bytes(const copies_t *self)
{
    return atomic_load_explicit(&self->bytes, memory_order_relaxed);
}

void copies_unref(copies_t **self_p)
{
    copies_t *self = *self_p;
    *self_p = NULL;
    if (!self || atomic_fetch_sub(&self->refs, 1) > 1)
        return;
    if (self->dir_fd >= 0)
        close(self->dir_fd);
    mem_free(self->dir);
    mem_free(self);
}

void copies_end(copies_t **self_p, uint64_t bytes)
{
    if (*self_p)
        atomic_fetch_sub_explicit(&(*self_p)->bytes, bytes, memory_order_relaxed);
    copies_unref(self_p);
}

/* Would the file system be fuller than it may? */
static err_t s_check_share(ctx_t *ctx, const copies_t *self, uint64_t bytes)
{
    struct statvfs st;
    if (self->options.share <= 0)
        return OK;
    if (s_fault(EIO) || fstatvfs(self->dir_fd, &st) != 0)
        return s_fail(ctx, self, "look for room");
    double total = (double)st.f_blocks * (double)st.f_frsize;
    double left = (double)st.f_bavail * (double)st.f_frsize;
    if (total - left + (double)bytes <= total * self->options.share)
        return OK;
    return ctx_fail(ctx, ERR_DISK_FULL, "%llu more bytes would fill the file system of %s above "
                    "%.0f %% (queryNode.maxDiskUsagePercentage)", (unsigned long long)bytes,
                    self->dir, 100 * self->options.share);
}

/* Count them before they are there, so that several copies at a time keep the limit too. */
static err_t s_take_room(ctx_t *ctx, copies_t *self, uint64_t bytes)
{
    uint64_t limit = self->options.limit_bytes;
    uint64_t now = atomic_fetch_add(&self->bytes, bytes) + bytes;
    err_t err = OK;
    if (limit && now > limit)
        err = ctx_fail(ctx, ERR_DISK_FULL, "%llu bytes of local copies, with %llu more, are above "
                       "elanus.query.disk, %llu", (unsigned long long)(now - bytes),
                       (unsigned long long)bytes, (unsigned long long)limit);
    if (err == OK)
        err = s_check_share(ctx, self, bytes);
    if (err == OK)
        atomic_fetch_add(&self->refs, 1);
    else
        atomic_fetch_sub(&self->bytes, bytes);
    return err;
}

/* --- files --------------------------------------------------------------------------------- */

/* Above the standard ones, so that 0 says "none". */
static int s_lift(int file)
{
    if (file < 0 || file >= FIRST_FILE)
        return file;
    int above = fcntl(file, F_DUPFD_CLOEXEC, FIRST_FILE), error = errno;
    close(file);
    errno = error;
    return above;
}

static err_t s_new_named(ctx_t *ctx, const copies_t *self, int *ret)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s%016llx", s_prefix, (unsigned long long)rng_from_os());
    int file = s_fault(EIO) ? -1 : openat(self->dir_fd, name,
                                          O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (file < 0)
        return s_fail(ctx, self, "make a file");
    (void)unlinkat(self->dir_fd, name, 0);
    *ret = file;
    return OK;
}

static err_t s_new_file(ctx_t *ctx, const copies_t *self, int *ret)
{
    int file = s_fault(EOPNOTSUPP) ? -1 : openat(self->dir_fd, ".",
                                                 O_RDWR | O_TMPFILE | O_CLOEXEC, FILE_MODE);
    if (file < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        TRY(s_new_named(ctx, self, &file));
    file = s_lift(file);
    if (file < 0)
        return s_fail(ctx, self, "make a file");
    *ret = file;
    return OK;
}

static err_t s_write(ctx_t *ctx, const copies_t *self, int file, uint64_t at, view_t bytes)
{
    while (bytes.len) {
        ssize_t n = s_fault(ENOSPC) ? -1 : pwrite(file, bytes.ptr, bytes.len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return s_fail(ctx, self, "write");
        bytes = view_of(bytes.ptr + n, bytes.len - (size_t)n);
        at += (uint64_t)n;
    }
    return OK;
}

/* One part: what the store hands out is in an arena that ends here, whatever the errand's is. */
static err_t s_copy_part(ctx_t *ctx, const copies_t *self, store_t *store, const char *key,
                         int file, uint64_t at, size_t len)
{
    arena_t of_errand = ctx->arena;
    size_t spent = ctx->spent_bytes;
    view_t part = {0};
    arena_init(&ctx->arena);
    err_t err = store_get_range(ctx, store, key, at, len, &part);
    if (err == OK)
        err = s_write(ctx, self, file, at, part);
    arena_fini(&ctx->arena);
    ctx->arena = of_errand;
    ctx->spent_bytes = spent;
    return err;
}

/* Written to the disk before it is believed: a page that fails to be later, when memory is short,
 * would be missed in the middle of a search. */
static err_t s_fill(ctx_t *ctx, const copies_t *self, store_t *store, const char *key, int file,
                    uint64_t len)
{
    int failed = s_fault(ENOSPC) ? -1 : fallocate(file, 0, 0, (off_t)len);
    if (failed && errno != EOPNOTSUPP && errno != ENOSYS)
        return s_fail(ctx, self, "take room");
    for (uint64_t at = 0; at < len; at += LIMIT_STORE_COPY_BYTES) {
        uint64_t left = len - at;
        TRY(ctx_alive(ctx));
        TRY(s_copy_part(ctx, self, store, key, file, at,
                        left < LIMIT_STORE_COPY_BYTES ? left : LIMIT_STORE_COPY_BYTES));
    }
    if (s_fault(EIO) || fdatasync(file) != 0)
        return s_fail(ctx, self, "sync");
    return OK;
}

static err_t s_map(ctx_t *ctx, const copies_t *self, int file, uint64_t len, store_mapping_t *ret)
{
    void *ptr = s_fault(ENOMEM) ? MAP_FAILED
              : mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, file, 0);
    if (ptr == MAP_FAILED)
        return s_fail(ctx, self, "map a file");
    *ret = (store_mapping_t){ .body = view_of(ptr, (size_t)len), .mapped = ptr,
                              .mapped_len = (size_t)len, .copy = file };
    return OK;
}

static err_t s_copy(ctx_t *ctx, copies_t *self, store_t *store, const char *key, uint64_t len,
                    store_mapping_t *ret)
{
    int file = -1;
    TRY(s_take_room(ctx, self, len));
    err_t err = s_new_file(ctx, self, &file);
    if (err == OK)
        err = s_fill(ctx, self, store, key, file, len);
    if (err == OK)
        err = s_map(ctx, self, file, len, ret);
    if (err == OK) {
        ret->copies = self;
        return OK;
    }
    if (file >= 0)
        close(file);
    copies_end(&self, len);
    return err;
}

err_t copies_map(ctx_t *ctx, copies_t *self, store_t *store, const char *key, store_mapping_t *ret)
{
    uint64_t len = 0;
    if (!self || store_maps(store))
        return store_map(ctx, store, key, ret);
    TRY(store_head(ctx, store, key, &len));
    if (len == 0 || len < self->options.least_bytes)
        return store_map(ctx, store, key, ret);
    return s_copy(ctx, self, store, key, len, ret);
}

/* --- the directory ------------------------------------------------------------------------- */

/* Names that a crash left between making a file and removing it. */
static err_t s_sweep(ctx_t *ctx, const copies_t *self)
{
    int fd = s_fault(EIO) ? -1 : openat(self->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return s_fail(ctx, self, "look");
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (strncmp(entry->d_name, s_prefix, strlen(s_prefix)) == 0)
            (void)unlinkat(self->dir_fd, entry->d_name, 0);
    closedir(dir);
    return OK;
}

static bool s_make_dirs(const copies_t *self)
{
    bool made = true;
    for (char *end = self->dir; made && end; ) {
        end = strchr(end + 1, '/');
        if (end)
            *end = '\0';
        made = !s_fault(EIO) && (mkdir(self->dir, DIR_MODE) == 0 || errno == EEXIST);
        if (end)
            *end = '/';
    }
    return made;
}

static err_t s_open(ctx_t *ctx, copies_t *self)
{
    struct statfs st;
    int file = -1;
    if (!s_make_dirs(self))
        return s_fail(ctx, self, "begin");
    self->dir_fd = s_fault(EIO) ? -1 : open(self->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->dir_fd < 0)
        return s_fail(ctx, self, "begin");
    TRY(s_sweep(ctx, self));
    TRY(s_new_file(ctx, self, &file));
    close(file);
    if (fstatfs(self->dir_fd, &st) == 0 && (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC))
        log_event(LOG_WARN, "copies_in_memory", "dir=%s why=\"it is no disk but memory: set "
                  "localStorage.path to a directory on one\"", self->dir);
    return OK;
}

err_t copies_open(ctx_t *ctx, const copies_options_t *options, copies_t **ret)
{
    check(ret && *ret == NULL);
    owned(copies) self = mem_new(sizeof *self);
    check(options->dir[0]);
    *self = (copies_t){ .options = *options, .dir = mem_strdup(options->dir), .dir_fd = -1 };
    atomic_init(&self->refs, 1);
    TRY(s_open(ctx, self));
    *ret = take(self);
    return OK;
}
