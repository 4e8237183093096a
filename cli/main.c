/* elanus - the operator's command: standalone, local clusters, health, config, version */
#include <stdio.h>
#include <string.h>

#include "cli/cluster.h"
#include "cli/health.h"
#include "cli/standalone.h"
#include "core/node/daemon.h"

/* `elanus config [flags]`: every key with its meaning, default and present value. */
static int s_config(int argc, char **argv)
{
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) config = NULL;
    int code = EXIT_SERVED;
    if (config_load(&ctx, argc, argv, &(config_program_t){0}, &config) == OK) {
        buf_scoped text = {0};
        config_print(config, &text);
        fputs(buf_str(&text), stdout);
    } else {
        fprintf(stderr, "elanus: %s\n", ctx.text);
        code = daemon_exit_code(ctx.err);
    }
    ctx_fini(&ctx);
    return code;
}

static int s_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("elanus %s\n", ELANUS_VERSION);
    return EXIT_SERVED;
}

typedef struct {
    const char *word, *about;
    int (*run)(int argc, char **argv);
} command_t;

static const command_t s_commands[] = {
    { "standalone", "run the whole database in one process", standalone_main },
    { "up", "run a whole cluster as processes of this machine", cluster_up },
    { "ps", "the processes of such a cluster", cluster_ps },
    { "kill", "end one of them at once", cluster_kill },
    { "pause", "make one stand still", cluster_pause },
    { "resume", "let it go on, or start it again", cluster_resume },
    { "add", "start one more of a role", cluster_add },
    { "logs", "what one of them said", cluster_logs },
    { "down", "end such a cluster", cluster_down },
    { "health", "ask a daemon's ops port whether it is well", health_main },
    { "config", "print every configuration key, its default and its meaning", s_config },
    { "version", "print the version", s_version },
};

static void s_usage(FILE *out)
{
    fprintf(out, "elanus - a vector database that Milvus clients cannot tell from Milvus\n\n"
            "  elanus COMMAND [flags]      --help after a command tells its flags\n\n");
    for (size_t i = 0; i < ARRAY_LEN(s_commands); i++)
        fprintf(out, "  %-12s %s\n", s_commands[i].word, s_commands[i].about);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < ARRAY_LEN(s_commands); i++)
        if (strcmp(word, s_commands[i].word) == 0)
            return s_commands[i].run(argc - 2, argv + 2);
    bool help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    if (strcmp(word, "--version") == 0)
        return s_version(0, NULL);
    s_usage(help ? stdout : stderr);
    if (word[0] && !help)
        fprintf(stderr, "\nelanus: no command \"%s\"\n", word);
    return help ? EXIT_SERVED : EXIT_USAGE;
}
