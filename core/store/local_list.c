/* local_list - the files below a prefix, in the order of their keys
 *
 * readdir has no order and a directory may hold a million files, so each
 * directory is read in batches: one pass keeps the BATCH smallest names above
 * a cursor; when they are used up and there were more, the next pass takes the
 * following ones.  Directories open as frames of a stack of our own (a key has
 * at most 256 levels), so memory is levels x 2 x BATCH names.
 *
 * A directory sorts as its name with "/" behind it, since that is how the keys
 * below it compare: "a-b" < "a/c" < "a0".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/vec.h"
#include "core/store/local_int.h"

enum { BATCH = 1024, PATH_BYTES = LIMIT_STORE_KEY_BYTES + 1, ALIVE_EVERY = 1024 };

typedef struct frame {
    char dir[PATH_BYTES];       /* "" or "a/b/" */
    vec_t names;                /* char *, owned; sorted, directories end in "/" */
    size_t at;                  /* next to look at */
    bool more;                  /* the directory had more above the last name */
} frame_t;

typedef struct walk {
    ctx_t *ctx;
    local_t *local;
    const char *prefix, *after;
    vec_t frames;               /* frame_t *, owned */
} walk_t;

DIR *local_open_dir(const local_t *self, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
    int fd = fault_hit() ? (errno = EIO, -1) : openat(self->root_fd, name, flags);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !dir)
        close(fd);
    return dir;
}

/* --- names ---------------------------------------------------------------------- */

static char *s_name(const frame_t *frame, size_t i)
{
    return *(char **)vec_at(&frame->names, i);
}

static void s_cut_names(frame_t *frame, size_t n)
{
    while (frame->names.len > n) {
        mem_free(s_name(frame, frame->names.len - 1));
        frame->names.len--;
    }
}

static int s_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void s_sort_names(frame_t *frame)
{
    if (frame->names.len)
        qsort(frame->names.ptr, frame->names.len, sizeof(char *), s_compare);
}

/* Can `dir` + name be, or hold, a key that is asked for? */
static bool s_wanted(const walk_t *walk, const frame_t *frame, const char *name)
{
    char path[PATH_BYTES + 1];
    size_t len = (size_t)snprintf(path, sizeof path, "%s%s", frame->dir, name);
    if (len > LIMIT_STORE_KEY_BYTES)
        return false;
    size_t prefix_len = strlen(walk->prefix);
    size_t shared = len < prefix_len ? len : prefix_len;
    if (strncmp(path, walk->prefix, shared) != 0)
        return false;
    if (path[len - 1] == '/')                   /* all keys below are above path itself */
        return strncmp(path, walk->after, len) >= 0;
    return len >= prefix_len && strcmp(path, walk->after) > 0;
}

/* 'd' or 'f'; 0 for anything else, and for what is gone already. */
static char s_kind(DIR *dir, const struct dirent *entry)
{
    if (entry->d_type == DT_DIR)
        return 'd';
    if (entry->d_type == DT_REG)
        return 'f';
    struct stat st;
    if (entry->d_type != DT_UNKNOWN || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
        return 0;
    return S_ISDIR(st.st_mode) ? 'd' : S_ISREG(st.st_mode) ? 'f' : 0;
}

/* --- frames ---------------------------------------------------------------------- */

static void s_take_entry(walk_t *walk, frame_t *frame, DIR *dir, const struct dirent *entry,
                         const char *cursor)
{
    char kind = s_kind(dir, entry);
    if (!kind || entry->d_name[0] == '~' || !store_key_ok(entry->d_name))
        return;
    char name[LIMIT_STORE_KEY_PART_BYTES + 2];
    snprintf(name, sizeof name, "%s%s", entry->d_name, kind == 'd' ? "/" : "");
    if (strcmp(name, cursor) <= 0 || !s_wanted(walk, frame, name))
        return;
    char *copy = mem_strdup(name);
    vec_push(&frame->names, &copy);
    if (frame->names.len < 2 * BATCH)
        return;
    s_sort_names(frame);
    s_cut_names(frame, BATCH);
    frame->more = true;
}

static err_t s_scan(walk_t *walk, frame_t *frame, DIR *dir, const char *cursor)
{
    size_t seen = 0;
    errno = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (++seen % ALIVE_EVERY == 0)
            TRY(ctx_alive(walk->ctx));
        s_take_entry(walk, frame, dir, entry, cursor);
        errno = 0;
    }
    if (errno)
        return local_fail(walk->ctx, walk->local, "read the directory", frame->dir);
    s_sort_names(frame);
    if (frame->names.len > BATCH) {
        s_cut_names(frame, BATCH);
        frame->more = true;
    }
    return OK;
}

/* Read the next batch of names, those above the last one used. */
static err_t s_fill(walk_t *walk, frame_t *frame)
{
    char cursor[LIMIT_STORE_KEY_PART_BYTES + 2] = "";
    if (frame->names.len)
        snprintf(cursor, sizeof cursor, "%s", s_name(frame, frame->names.len - 1));
    s_cut_names(frame, 0);
    frame->at = 0;
    frame->more = false;
    DIR *dir = local_open_dir(walk->local, frame->dir[0] ? frame->dir : ".");
    if (!dir && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return OK;
    if (!dir)
        return local_fail(walk->ctx, walk->local, "open the directory", frame->dir);
    err_t err = s_scan(walk, frame, dir, cursor);
    closedir(dir);
    return err;
}

static err_t s_push(walk_t *walk, const char *dir)
{
    frame_t *frame = mem_new(sizeof *frame);
    snprintf(frame->dir, sizeof frame->dir, "%s", dir);
    vec_init(&frame->names, sizeof(char *));
    vec_push(&walk->frames, &frame);
    return s_fill(walk, frame);
}

static void s_pop(walk_t *walk)
{
    frame_t *frame = *(frame_t **)vec_at(&walk->frames, walk->frames.len - 1);
    s_cut_names(frame, 0);
    vec_fini(&frame->names);
    mem_free(frame);
    walk->frames.len--;
}

/* The next file's key into path, "" when there is none. */
static err_t s_next(walk_t *walk, char path[PATH_BYTES])
{
    path[0] = '\0';
    while (walk->frames.len) {
        frame_t *frame = *(frame_t **)vec_at(&walk->frames, walk->frames.len - 1);
        if (frame->at == frame->names.len) {
            if (!frame->more)
                s_pop(walk);
            else
                TRY(s_fill(walk, frame));
            continue;
        }
        int len = snprintf(path, PATH_BYTES, "%s%s", frame->dir, s_name(frame, frame->at++));
        check(len > 0 && len < PATH_BYTES);
        if (path[len - 1] != '/')
            return OK;
        TRY(s_push(walk, path));
        path[0] = '\0';
    }
    return OK;
}

static err_t s_collect(walk_t *walk, size_t most, store_list_t *list)
{
    char path[PATH_BYTES];
    for (;;) {
        TRY(s_next(walk, path));
        if (path[0] == '\0')
            return OK;
        struct stat st;
        if (fstatat(walk->local->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT)
                continue;                       /* deleted meanwhile */
            return local_fail(walk->ctx, walk->local, "look at", path);
        }
        if (!store_list_add(walk->ctx, list, most, path, (uint64_t)st.st_size))
            return OK;
    }
}

err_t local_list(ctx_t *ctx, void *impl, const char *prefix, const char *after,
                 size_t most, store_list_t *list)
{
    walk_t walk = { .ctx = ctx, .local = impl, .prefix = prefix, .after = after };
    vec_init(&walk.frames, sizeof(frame_t *));
    const char *slash = strrchr(prefix, '/');
    int dir_len = slash ? (int)(slash - prefix) + 1 : 0;
    err_t err = s_push(&walk, ctx_printf(ctx, "%.*s", dir_len, prefix));
    if (err == OK)
        err = s_collect(&walk, most, list);
    while (walk.frames.len)
        s_pop(&walk);
    vec_fini(&walk.frames);
    return err;
}
