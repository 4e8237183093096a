/* apart - see apart.h */
#include "cli/apart_int.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/pb_json.h"
#include "cli/show.h"
#include "cli/table.h"
#include "core/node/daemon.h"

enum { MOST = 100000 };

const flag_t apart_flags[] = {
    { "--most", "N", "rows of a list to print (20)" },
    { NULL, NULL, NULL },
};
const flag_t apart_wal_flags[] = {
    { "--most", "N", "objects of a channel to read, the last ones (20)" },
    { "--entries", NULL, "with the entries of every object of a log file (--json)" },
    { NULL, NULL, NULL },
};

void apart_note(apart_t *self, json_t *item, const char *damage)
{
    format_text(item, "damage", damage);
    if (!self->damage)
        self->damage = ctx_strdup(self->ctx, damage);
}

/* The store's checksums first, then what the format says of itself: either may be wrong alone. */
static err_t s_read(apart_t *self, const stored_bytes_t *bytes, json_t *into)
{
    format_text(into, "name", bytes->name);
    format_count(into, "size", bytes->body.len);
    format_text(into, "store_checksums", bytes->checksums);
    err_t err = format_read(self->ctx, &self->ask, bytes->body, bytes->name, into);
    if (err == ERR_CORRUPT)
        apart_note(self, into, self->ctx->text);
    else if (bytes->damage)
        apart_note(self, into, bytes->damage);
    return err == ERR_CORRUPT ? OK : err;
}

err_t apart_object(apart_t *self, const char *key, json_t *into)
{
    stored_bytes_t bytes = {0};
    err_t err = stored_object(self->ctx, self->stored, key, &bytes);
    if (err == ERR_CORRUPT) {                   /* S3 gives no bytes that are not what they were */
        format_text(into, "name", key);
        apart_note(self, into, self->ctx->text);
        return OK;
    }
    TRY(err);
    return s_read(self, &bytes, into);
}

err_t apart_file(apart_t *self, const char *path, json_t *into)
{
    stored_bytes_t bytes = {0};
    TRY(stored_file(self->ctx, path, &bytes));
    return s_read(self, &bytes, into);
}

err_t apart_named(apart_t *self, const char *word)
{
    return stored_is_path(word) ? apart_file(self, word, self->root)
                                : apart_object(self, word, self->root);
}

err_t apart_keys(apart_t *self, const char *prefix, meta_items_t *ret)
{
    meta_t *meta = NULL;
    TRY(stored_meta(self->ctx, self->stored, &meta));
    return meta_list(self->ctx, meta, prefix, ret);
}

/* --- running -------------------------------------------------------------------------------- */

static int s_exit_code(const apart_t *self, err_t err)
{
    if (err == OK)
        return self->damage ? EXIT_CORRUPT : EXIT_SERVED;
    bool asked_wrong = err == ERR_PARAM_INVALID || err == ERR_KEY_NOT_FOUND || err == ERR_DENIED;
    return asked_wrong ? EXIT_USAGE : daemon_exit_code(err);
}

static void s_print(apart_t *self, bool json)
{
    buf_scoped text = {0};
    if (json)
        show_json(self->root, JSON_COMPACT, &text);
    else
        format_print(self->ctx, self->root, text_columns(), &text);
    show_out(&text);
}

static err_t s_begin(apart_t *self)
{
    uint64_t most = 20;
    TRY(args_number(self->ctx, self->args, "--most", MOST, &most));
    self->ask = (format_ask_t){ .most = (size_t)(most ? most : 1),
                                .entries = args_get(self->args, "--entries") };
    return stored_open(self->ctx, self->args, self->stored);
}

static int s_run(const args_t *args, err_t (*body)(apart_t *self))
{
    ctx_t ctx;
    ctx_init(&ctx);
    stored_scoped stored = {0};
    apart_t self = { .ctx = &ctx, .args = args, .stored = &stored, .root = json_object() };
    err_t err = s_begin(&self);
    if (err == OK)
        err = body(&self);
    if (err == OK && json_object_size(self.root) > 0)
        s_print(&self, args_get(args, "--json"));
    const char *why = err != OK ? ctx.text : self.damage;
    if (why)
        fprintf(stderr, "elanus %s: %s\n", args->command->word, text_safe(&ctx, why, 0));
    int code = s_exit_code(&self, err);
    json_decref(self.root);
    stored_close(&stored);
    ctx_fini(&ctx);
    return code;
}

/* LMDB believes its file, and a damaged one can make it fall: that happens to a child. */
static int s_run_apart(const args_t *args, err_t (*body)(apart_t *self))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int code = s_run(args, body);
        fflush(stdout);
        _exit(code);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        fprintf(stderr, "elanus %s: cannot start a process: %s\n", args->command->word,
                strerror(errno));
        return EXIT_BUG;
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    fprintf(stderr, "elanus %s: the metadata in %s/meta is damaged: LMDB cannot read it (signal "
            "%d); restore the directory from a backup\n", args->command->word,
            args_get(args, "--data"), WTERMSIG(status));
    return EXIT_CORRUPT;
}

int apart_run(const args_t *args, err_t (*body)(apart_t *self))
{
    return args_get(args, "--data") ? s_run_apart(args, body) : s_run(args, body);
}

/* --- meta ---------------------------------------------------------------------------------- */

static void s_key(ctx_t *ctx, const meta_item_t *item, json_t *list)
{
    const char *type = "";
    json_t *value = pb_json_meta(ctx, item->key, item->value, &type);
    json_t *row = json_object();
    format_text(row, "key", item->key);
    format_text(row, "type", type);
    format_count(row, "created", (uint64_t)item->create_rev);
    format_count(row, "changed", (uint64_t)item->mod_rev);
    format_id(row, "lease", (uint64_t)item->lease);
    json_object_set_new(row, "value", value);
    json_array_append_new(list, row);
}

/* The key in one line, its value below as JSON. */
static void s_print_key(ctx_t *ctx, const json_t *row, buf_t *into)
{
    buf_scoped value = {0};
    bool leased = strcmp(show_text(row, "lease"), "0") != 0;
    show_json(json_object_get(row, "value"), JSON_INDENT(2), &value);
    buf_addf(into, "%s  %s, revision %lld%s%s\n", text_safe(ctx, show_text(row, "key"), 0),
             show_text(row, "type")[0] ? show_text(row, "type") : "unknown",
             (long long)show_int(row, "changed", 0), leased ? ", lease " : "",
             leased ? show_text(row, "lease") : "");
    for (const char *at = buf_str(&value); *at; ) {
        size_t len = strcspn(at, "\n");
        buf_addf(into, "  %s\n", text_safe(ctx, ctx_printf(ctx, "%.*s", (int)len, at), 0));
        at += len + (at[len] == '\n');
    }
}

static void s_note_damage(apart_t *self, const json_t *row)
{
    const char *damage = show_text(json_object_get(row, "value"), "damage");
    if (damage[0] && !self->damage)
        self->damage = ctx_printf(self->ctx, "%s: %s", show_text(row, "key"), damage);
}

static err_t s_meta(apart_t *self)
{
    const char *prefix = self->args->n_words ? self->args->words[0] : "";
    meta_items_t items = {0};
    json_t *list = json_array(), *row;
    json_object_set_new(self->root, "items", list);
    TRY(apart_keys(self, prefix, &items));
    if (items.n == 0)
        return ctx_fail(self->ctx, ERR_KEY_NOT_FOUND, prefix[0] ? "no key begins with \"%s\"; "
                        "`elanus meta` prints all" : "there is no key%s: is this the root "
                        "(--etcd.rootPath) of a cluster?", prefix);
    for (size_t i = 0; i < items.n; i++)
        s_key(self->ctx, &items.at[i], list);
    size_t i;
    buf_scoped text = {0};
    json_array_foreach(list, i, row) {
        s_note_damage(self, row);
        s_print_key(self->ctx, row, &text);
    }
    if (args_get(self->args, "--json")) {
        format_count(self->root, "revision", (uint64_t)items.rev);
        return OK;
    }
    show_out(&text);
    json_object_clear(self->root);              /* it is printed */
    return OK;
}

int apart_meta(const args_t *args)
{
    return apart_run(args, s_meta);
}
