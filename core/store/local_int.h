/* local_int - shared by local.c (files) and local_list.c (walking them) */
#ifndef CORE_STORE_LOCAL_INT_H
#define CORE_STORE_LOCAL_INT_H

#include <dirent.h>
#include <pthread.h>

#include "core/base/map.h"
#include "core/store/store_int.h"

typedef struct local {
    char *dir;                  /* owned; as given, for texts */
    int root_fd;                /* of dir; every path is relative to it */
    int lock_fd;                /* of ~lock */
    uint64_t token;             /* random, makes names in ~tmp ours */
    _Atomic uint64_t n_puts;
    pthread_mutex_t lock;       /* durable; a leaf */
    map_t *durable;             /* directories known to be in their parents on disk */
} local_t;

/* Errno as an err_t with a text: "cannot <what> <dir>/<name>: <why>". */
err_t local_fail(ctx_t *ctx, const local_t *self, const char *what, const char *name);

/* NULL with errno when it cannot be opened; caller closes. */
DIR *local_open_dir(const local_t *self, const char *name);

err_t must_use local_list(ctx_t *ctx, void *impl, const char *prefix, const char *after,
                          size_t most, store_list_t *list);

#endif
