/* cluster_ask - `elanus ps`, `kill`, `pause`, `resume`, `add`, `logs`, `down` */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cluster.h"
#include "cli/cluster_int.h"
#include "cli/commands.h"
#include "core/node/daemon.h"

typedef struct {
    const char *verb;
    bool word;                          /* takes a name or a role */
    bool json;                          /* takes --json */
} order_t;

static int s_usage(const order_t *order)
{
    args_help(command_find(order->verb), stderr);
    return EXIT_USAGE;
}

/* "--dir DIR" and at most one word, in any order. */
static bool s_flags(const order_t *order, int argc, char **argv, const char **dir,
                    const char **word)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            *dir = argv[++i];
        else if (order->json && strcmp(argv[i], "--json") == 0)
            *word = argv[i];
        else if (order->word && !*word && argv[i][0] != '-')
            *word = argv[i];
        else
            return false;
    }
    return *dir && (!order->word || *word);
}

/* Everything until the end of the connection; the first line says whether it went well. */
err_t cluster_question(ctx_t *ctx, const char *dir, const char *question, const char **ret)
{
    int fd = cluster_socket(dir, false);
    if (fd < 0)
        return ctx_fail(ctx, ERR_NETWORK, "no cluster runs in %s (%s); `elanus up --dir %s` starts "
                        "one", dir, strerror(errno), dir);
    dprintf(fd, "%s\n", question);
    buf_scoped answer = { .most_bytes = 1 << 20 };
    for (ssize_t n = 1; n > 0; ) {
        uint8_t *room = buf_reserve(&answer, 4096);
        n = room ? read(fd, room, 4096) : 0;
        answer.len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    const char *text = buf_str(&answer);
    if (strncmp(text, "ok\n", 3) != 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%.*s", (int)strcspn(text, "\n"),
                        text[0] ? text + strlen("error: ") : "the cluster does not answer");
    *ret = ctx_strdup(ctx, text + 3);
    return OK;
}

static int s_ask(const order_t *order, int argc, char **argv)
{
    const char *dir = NULL, *word = NULL, *answer = NULL;
    if (!s_flags(order, argc, argv, &dir, &word))
        return s_usage(order);
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = cluster_question(&ctx, dir, ctx_printf(&ctx, "%s %s", order->verb,
                                                       word ? word : ""), &answer);
    if (err == OK)
        fputs(answer, stdout);
    else
        fprintf(stderr, "elanus %s: %s\n", order->verb, ctx.text);
    ctx_fini(&ctx);
    return err == OK ? EXIT_SERVED : err == ERR_NETWORK ? EXIT_NETWORK : EXIT_USAGE;
}

int cluster_ps(int argc, char **argv)
{
    return s_ask(&(order_t){ "ps", false, true }, argc, argv);
}

int cluster_kill(int argc, char **argv)
{
    return s_ask(&(order_t){ "kill", true, false }, argc, argv);
}

int cluster_pause(int argc, char **argv)
{
    return s_ask(&(order_t){ "pause", true, false }, argc, argv);
}

int cluster_resume(int argc, char **argv)
{
    return s_ask(&(order_t){ "resume", true, false }, argc, argv);
}

int cluster_add(int argc, char **argv)
{
    return s_ask(&(order_t){ "add", true, false }, argc, argv);
}

int cluster_down(int argc, char **argv)
{
    return s_ask(&(order_t){ "down", false, false }, argc, argv);
}

/* Logs are files: they can be read when nothing runs any more. */
int cluster_logs(int argc, char **argv)
{
    const order_t order = { "logs", true, false };
    const char *dir = NULL, *word = NULL;
    if (!s_flags(&order, argc, argv, &dir, &word) || strchr(word, '/'))
        return s_usage(&order);
    char path[4200], line[4096];
    snprintf(path, sizeof path, "%s/logs/%s.log", dir, word);
    FILE *in = fopen(path, "re");
    if (!in) {
        fprintf(stderr, "elanus logs: cannot read %s: %s\n", path, strerror(errno));
        return EXIT_USAGE;
    }
    while (fgets(line, sizeof line, in))
        fputs(line, stdout);
    fclose(in);
    return EXIT_SERVED;
}
