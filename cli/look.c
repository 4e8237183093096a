/* look - see look.h */
#include "cli/look.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cluster.h"
#include "cli/show.h"
#include "cli/table.h"
#include "core/node/daemon.h"

#define USUAL "127.0.0.1:9091"

const flag_t look_flags[] = {
    { "--ops", "HOST:PORT", "a proxy's ops port, or several with commas (" USUAL ")" },
    { "--dir", "DIR", "ask the proxies of the `elanus up` that runs in DIR" },
    { "--token", "USER:PASSWORD", "for a cluster with authorization" },
    { NULL, NULL, NULL },
};

/* --- whom to ask ------------------------------------------------------------------------- */

static err_t s_add_address(ctx_t *ctx, look_t *self, const char *text, size_t len)
{
    if (len == 0)
        return OK;
    if (self->n == LOOK_ADDRESSES)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "more than %d addresses", LOOK_ADDRESSES);
    self->addresses[self->n++] = mem_strdup(ctx_printf(ctx, "%.*s", (int)len, text));
    return OK;
}

static err_t s_add_list(ctx_t *ctx, look_t *self, const char *list, const char *between)
{
    for (const char *at = list; *at; at += strspn(at, between)) {
        size_t len = strcspn(at, between);
        TRY(s_add_address(ctx, self, at, len));
        at += len;
    }
    return OK;
}

static err_t s_add_cluster(ctx_t *ctx, look_t *self, const char *dir)
{
    const char *answer = NULL;
    TRY(cluster_question(ctx, dir, "ops", &answer));
    TRY(s_add_list(ctx, self, answer, "\n"));
    if (self->n == 0)
        return ctx_fail(ctx, ERR_NETWORK, "no proxy of the cluster in %s is up; `elanus ps --dir "
                        "%s` shows what is, `elanus resume --dir %s proxy-1` starts one again",
                        dir, dir, dir);
    return OK;
}

err_t look_open(ctx_t *ctx, const args_t *args, look_t *ret)
{
    const char *ops = args_get(args, "--ops"), *dir = args_get(args, "--dir");
    *ret = (look_t){ .args = args, .token = args_get(args, "--token") };
    if (ops && dir)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "takes --ops or --dir, not both");
    if (dir)
        return s_add_cluster(ctx, ret, dir);
    return s_add_list(ctx, ret, ops ? ops : USUAL, ",");
}

void look_close(look_t *self)
{
    for (size_t i = 0; i < self->n; i++)
        mem_free(self->addresses[i]);
    *self = (look_t){0};
}

/* --- asking ------------------------------------------------------------------------------- */

static err_t s_refused(ctx_t *ctx, const char *address, const ask_answer_t *answer,
                       const json_t *root)
{
    static const struct { int status; err_t err; } s_errors[] = {
        { 400, ERR_PARAM_INVALID }, { 401, ERR_DENIED }, { 403, ERR_DENIED },
        { 404, ERR_KEY_NOT_FOUND }, { 503, ERR_META },
    };
    err_t err = ERR_UNEXPECTED;
    for (size_t i = 0; i < ARRAY_LEN(s_errors); i++)
        err = s_errors[i].status == answer->status ? s_errors[i].err : err;
    if (show_text(root, "error")[0])
        return ctx_fail(ctx, err, "%s; %s", show_text(root, "error"), show_text(root, "do"));
    if (err == ERR_DENIED)
        return ctx_fail(ctx, err, "%s wants to know who asks: --token USER:PASSWORD", address);
    return ctx_fail(ctx, ERR_MALFORMED, "%s has no such page (HTTP %d): it is not a proxy's ops "
                    "port, or of an older version; --ops names one", address, answer->status);
}

static err_t s_ask_one(ctx_t *ctx, const look_t *self, const char *address, const char *page,
                       ask_answer_t *answer, json_t **ret)
{
    const ask_t ask = { .address = address, .token = self->token,
                        .patience_ms = self->patience_ms ? self->patience_ms : LOOK_MS,
                        .path = ctx_printf(ctx, "/api/v1/_elanus/%s", page) };
    TRY(ask_get(ctx, &ask, answer));
    json_t *root = json_loadb((const char *)answer->body.ptr, answer->body.len, 0, NULL);
    err_t err = OK;
    if (answer->status != 200)
        err = s_refused(ctx, address, answer, root);
    else if (!json_is_array(json_object_get(root, "items")))
        err = ctx_fail(ctx, ERR_MALFORMED, "what %s answers is not what a proxy of Elanus says; "
                       "--ops names the ops port of one", address);
    if (err == OK)
        *ret = root;
    else
        json_decref(root);
    return err;
}

static err_t s_nobody(ctx_t *ctx, const look_t *self, err_t err)
{
    const char *dir = args_get(self->args, "--dir");
    if (err != ERR_NETWORK)
        return err;
    if (dir)
        return ctx_fail(ctx, err, "%s; `elanus ps --dir %s` shows what runs", ctx_strdup(ctx,
                        ctx->text), dir);
    return ctx_fail(ctx, err, "%s; start one with `elanus standalone --data DIR`, or name the ops "
                    "port of a proxy with --ops HOST:PORT", ctx_strdup(ctx, ctx->text));
}

/* A proxy that cannot know is as good as a dead one, when there is another. */
static bool s_try_another(err_t err)
{
    return err == ERR_NETWORK || err == ERR_TIMEOUT || err == ERR_META;
}

err_t look_ask(ctx_t *ctx, look_t *self, const char *page, const char **ret_text, json_t **ret)
{
    err_t err = OK;
    check(self->n > 0);
    for (size_t i = 0; i < self->n; i++) {
        size_t at = (self->answered + i) % self->n;
        ask_answer_t answer = {0};
        err = s_ask_one(ctx, self, self->addresses[at], page, &answer, ret);
        if (err == OK) {
            self->answered = at;
            if (ret_text)
                *ret_text = (const char *)answer.body.ptr;
            return OK;
        }
        if (!s_try_another(err))
            return err;
        if (i + 1 < self->n && !self->quiet)
            fprintf(stderr, "elanus %s: %s; asking %s\n", self->args->command->word, ctx->text,
                    self->addresses[(at + 1) % self->n]);
    }
    return s_nobody(ctx, self, err);
}

void look_say_missing(const look_t *self, const json_t *answer)
{
    ctx_t ctx;
    ctx_init(&ctx);
    size_t i;
    const json_t *entry;
    json_array_foreach(json_object_get(answer, "missing"), i, entry) {
        fprintf(stderr, "elanus %s: missing: %s (%s); %s\n", self->args->command->word,
                text_safe(&ctx, show_text(entry, "what"), 0),
                text_safe(&ctx, show_text(entry, "why"), 0),
                text_safe(&ctx, show_text(entry, "do"), 0));
    }
    ctx_fini(&ctx);
}

int look_failed(ctx_t *ctx, const args_t *args)
{
    fprintf(stderr, "elanus %s: %s\n", args->command->word, ctx->text);
    switch ((int)ctx->err) {
    case ERR_PARAM_INVALID: case ERR_DENIED: case ERR_KEY_NOT_FOUND:
        return EXIT_USAGE;
    case ERR_NETWORK: case ERR_TIMEOUT: case ERR_MALFORMED:
        return EXIT_NETWORK;
    case ERR_META:
        return EXIT_META;
    default:
        return daemon_exit_code(ctx->err);
    }
}
