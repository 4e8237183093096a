/* stored - see stored.h */
#include "cli/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cluster.h"
#include "core/base/limits.h"
#include "core/node/daemon.h"
#include "core/store/footer.h"

enum { ALIGN = 64, STORES_LINES = 16, OPEN_MS = 4000 };

const flag_t stored_flags[] = {
    { "--data", "DIR", "of a standalone, running or not" },
    { "--dir", "DIR", "of a running `elanus up`" },
    { "--etcd", "HOST:PORT", "the same as --etcd.endpoints" },
    { "--json", NULL, "print one JSON object" },
    { NULL, NULL, NULL },
};

/* --- opening ----------------------------------------------------------------------------- */

static err_t s_cluster_flags(ctx_t *ctx, stored_t *self, char **flags, int *n)
{
    const char *dir = args_get(self->args, "--dir"), *lines = NULL;
    TRY(cluster_question(ctx, dir, "stores", &lines));
    char *text = ctx_strdup(&self->memory, lines);
    for (char *next = NULL; text && *text && *n < STORES_LINES; text = next) {
        next = strchr(text, '\n');
        if (next)
            *next++ = '\0';
        flags[(*n)++] = text;
    }
    return OK;
}

err_t stored_open(ctx_t *ctx, const args_t *args, stored_t *ret)
{
    char *flags[ARGS_CONFIG + STORES_LINES + 1];
    int n = 0;
    *ret = (stored_t){ .args = args, .data = args_get(args, "--data") };
    ctx_init(&ret->memory);
    const char *etcd = args_get(args, "--etcd");
    if (!!ret->data + !!args_get(args, "--dir") + !!etcd > 1)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "takes one of --data, --dir and --etcd");
    if (args_get(args, "--dir"))
        TRY(s_cluster_flags(ctx, ret, flags, &n));
    if (etcd)
        flags[n++] = ctx_printf(&ret->memory, "--etcd.endpoints=%s", etcd);
    for (int i = 0; i < args->n_config; i++)
        flags[n++] = args->config[i];
    return config_load(ctx, n, flags, &(config_program_t){0}, &ret->config);
}

void stored_close(stored_t *self)
{
    if (!self->args)
        return;
    meta_destroy(&self->meta);
    store_destroy(&self->store);
    config_destroy(&self->config);
    ctx_fini(&self->memory);
    *self = (stored_t){0};
}

err_t stored_meta(ctx_t *ctx, stored_t *self, meta_t **ret)
{
    err_t err = OK;
    ctx_limit_ms(ctx, OPEN_MS);
    if (self->data && !self->meta)
        TRY(meta_lmdb_look(ctx, ctx_printf(ctx, "%s/meta", self->data), &self->meta));
    else if (!self->meta)
        err = daemon_open_etcd(ctx, self->config, &self->meta);
    ctx->deadline_ms = INT64_MAX;
    if (err == ERR_TIMEOUT || err == ERR_META)
        return ctx_fail(ctx, ERR_META, "%s; is etcd up?  --data DIR reads a standalone's, --dir "
                        "DIR those of an `elanus up`", ctx_strdup(ctx, ctx->text));
    *ret = self->meta;
    return err;
}

static err_t s_open_store(ctx_t *ctx, stored_t *self)
{
    if (self->store)
        return OK;
    ctx_limit_ms(ctx, OPEN_MS);
    err_t err = daemon_open_s3(ctx, self->config, false, &self->store);
    if (err != ERR_TIMEOUT && err != ERR_STORE)
        return err;
    return ctx_fail(ctx, ERR_STORE, "%s; is the object store up?", ctx_strdup(ctx, ctx->text));
}

/* --- files -------------------------------------------------------------------------------- */

static err_t s_read_fd(ctx_t *ctx, int fd, const char *path, view_t *ret)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return ctx_fail(ctx, ERR_DISK, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s is no file", path);
    if ((uint64_t)st.st_size > LIMIT_STORE_OBJECT_BYTES + LIMIT_STORE_OBJECT_BYTES / 64)
        return ctx_fail(ctx, ERR_PARAM_TOO_LARGE, "%s has %lld bytes: nothing that is stored is "
                        "so long", path, (long long)st.st_size);
    uint8_t *memory = ctx_try(ctx, (size_t)st.st_size + ALIGN);
    if (!memory)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the %lld bytes of %s",
                        (long long)st.st_size, path);
    memory += (ALIGN - (uintptr_t)memory % ALIGN) % ALIGN;
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len < (size_t)st.st_size; len += n > 0 ? (size_t)n : 0) {
        n = pread(fd, memory + len, (size_t)st.st_size - len, (off_t)len);
        if (n < 0)
            return ctx_fail(ctx, ERR_DISK, "cannot read %s at %zu: %s", path, len,
                            strerror(errno));
    }
    *ret = view_of(memory, len);
    return OK;
}

static err_t s_read_file(ctx_t *ctx, const char *path, view_t *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ctx_fail(ctx, errno == ENOENT ? ERR_KEY_NOT_FOUND : ERR_DISK, "cannot open %s: %s",
                        path, strerror(errno));
    err_t err = s_read_fd(ctx, fd, path, ret);
    close(fd);
    return err;
}

/* The store's footer: its checksum covers the key, which ends the path somewhere. */
static const char *s_parse_footer(const char *path, view_t bytes, footer_t *ret)
{
    uint64_t len = 0;
    if (!footer_body_len(bytes.len, &len))
        return "no object of a store has this length";
    view_t tail = view_of(bytes.ptr + len, bytes.len - (size_t)len);
    const char *why = footer_parse(path, tail, bytes.len, ret);
    for (const char *at = strchr(path, '/'); why && at; at = strchr(at + 1, '/'))
        if (at[1] && !footer_parse(at + 1, tail, bytes.len, ret))
            why = NULL;
    return why;
}

static bool s_has_footer(view_t bytes)
{
    return bytes.len >= FOOTER_TAIL_BYTES && memcmp(bytes.ptr + bytes.len - 4, "ELF1", 4) == 0;
}

/* Cut the footer off and say what it proves. */
static void s_check_footer(ctx_t *ctx, const char *path, stored_bytes_t *self)
{
    footer_t footer = {0};
    uint32_t bad = 0;
    view_t whole = self->body;
    uint64_t len = 0;
    const char *why = s_parse_footer(path, whole, &footer);
    self->checksums = "damaged";
    if (footer_body_len(whole.len, &len))
        self->body.len = (size_t)len;
    if (why)
        self->damage = ctx_printf(ctx, "%s is damaged at %zu: the store's footer: %s", path,
                                  self->body.len, why);
    else if (!footer_matches(&footer, 0, self->body, &bad))
        self->damage = ctx_printf(ctx, "%s is damaged: checksum of the 64 KiB at %llu", path,
                                  (unsigned long long)bad * FOOTER_BLOCK_BYTES);
    else
        self->checksums = "ok";
}

err_t stored_file(ctx_t *ctx, const char *path, stored_bytes_t *ret)
{
    char full[PATH_MAX];
    *ret = (stored_bytes_t){ .name = ctx_strdup(ctx, path), .checksums = "none" };
    TRY(s_read_file(ctx, path, &ret->body));
    if (s_has_footer(ret->body))
        s_check_footer(ctx, realpath(path, full) ? full : path, ret);
    return OK;
}

/* --- objects ------------------------------------------------------------------------------ */

static err_t s_local_object(ctx_t *ctx, const stored_t *self, const char *key,
                            stored_bytes_t *ret)
{
    *ret = (stored_bytes_t){ .name = ctx_strdup(ctx, key) };
    TRY(s_read_file(ctx, ctx_printf(ctx, "%s/objects/%s", self->data, key), &ret->body));
    s_check_footer(ctx, key, ret);
    return OK;
}

err_t stored_object(ctx_t *ctx, stored_t *self, const char *key, stored_bytes_t *ret)
{
    if (self->data)
        return s_local_object(ctx, self, key, ret);
    *ret = (stored_bytes_t){ .name = ctx_strdup(ctx, key), .checksums = "ok" };
    TRY(s_open_store(ctx, self));
    view_t body = {0};
    TRY(store_get(ctx, self->store, key, &body));
    uint8_t *memory = ctx_try(ctx, body.len + ALIGN);
    if (!memory)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for the %zu bytes of %s", body.len, key);
    memory += (ALIGN - (uintptr_t)memory % ALIGN) % ALIGN;
    if (body.len > 0)
        memcpy(memory, body.ptr, body.len);
    ret->body = view_of(memory, body.len);
    return OK;
}

err_t stored_list(ctx_t *ctx, stored_t *self, const char *prefix, size_t most, store_list_t *ret)
{
    check(!self->data && most > 0 && most <= LIMIT_STORE_LIST);
    TRY(s_open_store(ctx, self));
    store_object_t *kept = ctx_new(ctx, most * sizeof *kept);
    size_t n = 0;
    const char *after = NULL;
    store_list_t page = { .more = true };
    while (page.more) {
        TRY(store_list(ctx, self->store, prefix, after, LIMIT_STORE_LIST, &page));
        for (size_t i = 0; i < page.n; i++)
            kept[n++ % most] = page.at[i];
        after = page.n ? page.at[page.n - 1].key : after;
        page.more = page.more && page.n > 0;
    }
    size_t count = n < most ? n : most;
    ret->at = ctx_new(ctx, (count + 1) * sizeof *ret->at);
    for (size_t i = 0; i < count; i++)
        ret->at[i] = kept[(n - count + i) % most];
    ret->n = count;
    ret->more = n > count;                      /* there are earlier ones */
    return OK;
}

bool stored_is_path(const char *word)
{
    struct stat st;
    return stat(word, &st) == 0 && !stored_is_id(word);
}

bool stored_is_id(const char *word)
{
    return word[0] && strspn(word, "0123456789") == strlen(word);
}
