/* commands - see commands.h */
#include "cli/commands.h"

#include "cli/apart.h"
#include "cli/cluster.h"
#include "cli/completion.h"
#include "cli/health.h"
#include "cli/look.h"
#include "cli/manual.h"
#include "cli/standalone.h"
#include "cli/stored.h"
#include "cli/top.h"
#include "core/base/config.h"
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

/* --- flags of those that read their flags themselves ------------------------------------- */

static const flag_t s_standalone_flags[] = {
    { "--data", "DIR", "where everything is kept (elanus-data)" },
    { "--port", "N", "for clients; 0: any free one (19530)" },
    { "--ops-port", "N", "for /metrics, the console and these commands (9091)" },
    { NULL, NULL, NULL },
};
static const flag_t s_up_flags[] = {
    { "--dir", "DIR", "everything it keeps; made when it is not there (required)" },
    { "--port", "N", "of the first proxy, the next has N + 1; 0: any (19530)" },
    { "--ops-port", "N", "its operations port, likewise (9091; any with --port)" },
    { "--proxies", "N", "how many of each (1 each)" },
    { "--coords", "N", "" },
    { "--datanodes", "N", "" },
    { "--querynodes", "N", "" },
    { "--indexnodes", "N", "" },
    { "--etcd", "HOST:PORT", "use this etcd instead of starting one" },
    { "--s3", "HOST:PORT", "use this S3 server instead of starting one" },
    { "--s3-key", "KEY", "its credentials (minioadmin)" },
    { "--s3-secret", "SECRET", "" },
    { "--root", "NAME", "prefix in etcd and name of the bucket (elanus)" },
    { NULL, NULL, NULL },
};
static const flag_t s_ps_flags[] = {
    { "--json", NULL, "print one JSON object" },
    { NULL, NULL, NULL },
};
static const flag_t s_dir_flags[] = {
    { "--dir", "DIR", "the directory of `elanus up` (required)" },
    { NULL, NULL, NULL },
};

/* --- the table ------------------------------------------------------------------------------ */

static const command_t s_run[] = {
    { .word = "standalone", .about = "run the whole database in one process",
      .flags = { s_standalone_flags }, .config = true, .run_raw = standalone_main,
      .examples = "  elanus standalone --data /var/lib/elanus\n" },
    { .word = "up", .about = "run a whole cluster as processes of this machine",
      .flags = { s_up_flags }, .run_raw = cluster_up,
      .more = "It stays in the foreground until ctrl-C or `elanus down`.  While it runs:\n"
              "elanus ps, kill, pause, resume, add and logs, with the same --dir.\n",
      .examples = "  elanus up --dir /tmp/c --querynodes 2 --datanodes 2\n" },
    { .word = NULL },
};

static const command_t s_local[] = {
    { .word = "ps", .about = "the processes of a local cluster",
      .flags = { s_dir_flags, s_ps_flags }, .run_raw = cluster_ps,
      .more = "node= is the name that pages and logs know a process by: nodes are numbered as\n"
              "they join, processes as they are started.\n",
      .examples = "  elanus ps --dir /tmp/c\n" },
    { .word = "kill", .about = "end one of them at once, as kill -9 does", .words = "NAME",
      .flags = { s_dir_flags }, .run_raw = cluster_kill,
      .examples = "  elanus kill --dir /tmp/c querynode-1\n" },
    { .word = "pause", .about = "make one stand still (SIGSTOP)", .words = "NAME",
      .flags = { s_dir_flags }, .run_raw = cluster_pause,
      .examples = "  elanus pause --dir /tmp/c datanode-1\n" },
    { .word = "resume", .about = "let it go on, or start it again", .words = "NAME",
      .flags = { s_dir_flags }, .run_raw = cluster_resume,
      .examples = "  elanus resume --dir /tmp/c datanode-1\n" },
    { .word = "add", .about = "start one more of a role", .words = "ROLE",
      .flags = { s_dir_flags }, .run_raw = cluster_add,
      .more = "ROLE is coord, datanode, querynode, indexnode or proxy.\n",
      .examples = "  elanus add --dir /tmp/c querynode\n" },
    { .word = "logs", .about = "what one of them said", .words = "NAME",
      .flags = { s_dir_flags }, .run_raw = cluster_logs,
      .examples = "  elanus logs --dir /tmp/c coord-1\n" },
    { .word = "down", .about = "end such a cluster; its data stays", .flags = { s_dir_flags },
      .run_raw = cluster_down, .examples = "  elanus down --dir /tmp/c\n" },
    { .word = NULL },
};

static const command_t s_look[] = {
    { .word = "nodes", .about = "who is there, how it is and what it uses",
      .flags = { look_flags, look_page_flags }, .run = look_nodes,
      .examples = "  elanus nodes --dir /tmp/c\n  elanus nodes --ops 127.0.0.1:9091 --watch 1\n" },
    { .word = "channels", .about = "write channels: owner, state, frontier, followers",
      .flags = { look_flags, look_page_flags }, .run = look_channels,
      .more = "Positions are epoch/seq of the log.  A * marks who leads a shard for its replica.\n",
      .examples = "  elanus channels --dir /tmp/c --watch\n" },
    { .word = "segments", .about = "segments from growing to indexed, and who holds them",
      .flags = { look_flags, look_segments_flags, look_page_flags }, .run = look_segments,
      .examples = "  elanus segments --collection birds\n" },
    { .word = "indexes", .about = "index builds and how far they are",
      .flags = { look_flags, look_page_flags }, .run = look_indexes,
      .examples = "  elanus indexes --watch 1\n" },
    { .word = "requests", .about = "clients' requests, newest or slowest first",
      .flags = { look_flags, look_requests_flags, look_page_flags }, .run = look_requests,
      .examples = "  elanus requests --slow --most 10\n" },
    { .word = "trace", .about = "where one request spent its time, across daemons",
      .words = "TRACE", .flags = { look_flags, look_trace_flags }, .run = look_trace,
      .more = "TRACE is of the first column of `elanus requests`.\n",
      .examples = "  elanus trace 9f2c41d07a3be512\n" },
    { .word = "events", .about = "what the nodes logged, as one story",
      .flags = { look_flags, look_events_flags }, .run = look_events,
      .examples = "  elanus events --follow --steps\n  elanus events --explain --most 20\n" },
    { .word = "top", .about = "the same on a screen, once a second",
      .flags = { look_flags, top_flags }, .run = top_main,
      .more = "Keys: tab and arrows for another view, up and down to scroll, ? for all, q leaves.\n"
              "When nobody answers it says so and shows nothing old.\n",
      .examples = "  elanus top --dir /tmp/c\n  elanus top --once --view events\n" },
    { .word = "health", .about = "ask a daemon's ops port whether it is well",
      .words = "[HOST:PORT]", .run = health_main,
      .examples = "  elanus health 127.0.0.1:9091\n" },
    { .word = NULL },
};

static const command_t s_apart[] = {
    { .word = "meta", .about = "metadata: keys, and what their values say", .words = "[PREFIX]",
      .flags = { stored_flags }, .config = true, .run = apart_meta,
      .more = "Values are the messages of proto/elanus.proto as JSON; bytes are hex.\n",
      .examples = "  elanus meta --data elanus-data owner/\n  elanus meta --dir /tmp/c seg/\n" },
    { .word = "wal", .about = "the write-ahead log: a channel's, an object of it, or a file",
      .words = "FILE|OBJECT|CHANNEL", .flags = { stored_flags, apart_wal_flags }, .config = true,
      .run = apart_wal,
      .examples = "  elanus wal --data elanus-data elanus-rootcoord-dml_0\n"
                  "  elanus wal --dir /tmp/c elanus-rootcoord-dml_0 --most 5\n"
                  "  elanus wal elanus-data/wal/elanus-rootcoord-dml_0/0000000000000001.wal\n" },
    { .word = "segment", .about = "the objects of a segment: columns, deletes, stats, checksums",
      .words = "ID|OBJECT|FILE", .flags = { stored_flags, apart_flags }, .config = true,
      .run = apart_segment,
      .examples = "  elanus segment --data elanus-data 4522\n"
                  "  elanus segment --dir /tmp/c stats/4501/4502/4522/0\n" },
    { .word = "index", .about = "the objects of an index build: head, sections, checksums",
      .words = "BUILD|OBJECT|PATH", .flags = { stored_flags, apart_flags }, .config = true,
      .run = apart_index,
      .more = "PATH is a file, or the directory of all objects of a build.\n",
      .examples = "  elanus index --dir /tmp/c 4610\n"
                  "  elanus index elanus-data/objects/index/4610/1\n" },
    { .word = NULL },
};

static const command_t s_other[] = {
    { .word = "config", .about = "every configuration key, its default and its meaning",
      .config = true, .run_raw = s_config, .examples = "  elanus config >elanus.yaml\n" },
    { .word = "completion", .about = "a script for your shell that completes these commands",
      .words = "bash|zsh", .run = completion_main,
      .examples = "  elanus completion bash >/etc/bash_completion.d/elanus\n" },
    { .word = "manual", .about = "the man page", .run = manual_main,
      .examples = "  elanus manual | man -l -\n" },
    { .word = "version", .about = "print the version", .run_raw = s_version,
      .examples = "  elanus version\n" },
    { .word = NULL },
};

const command_group_t command_groups[] = {
    { "Run", s_run },
    { "Play with a cluster of this machine", s_local },
    { "Look at a cluster", s_look },
    { "Take apart what is stored", s_apart },
    { "Others", s_other },
    { NULL, NULL },
};

/* --- using it ------------------------------------------------------------------------------- */

const command_t *command_find(const char *word)
{
    for (const command_group_t *group = command_groups; group->about; group++)
        for (const command_t *command = group->commands; command->word; command++)
            if (strcmp(command->word, word) == 0)
                return command;
    return NULL;
}

static bool s_wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int command_run(const command_t *command, int argc, char **argv)
{
    if (s_wants_help(argc, argv)) {
        args_help(command, stdout);
        return EXIT_SERVED;
    }
    if (command->run_raw)
        return command->run_raw(argc, argv);
    ctx_t ctx;
    ctx_init(&ctx);
    args_t args;
    int code = EXIT_USAGE;
    if (args_parse(&ctx, command, argc, argv, &args) == OK)
        code = command->run(&args);
    else
        fprintf(stderr, "elanus %s: %s\n", command->word, ctx.text);
    ctx_fini(&ctx);
    return code;
}

void command_overview(FILE *out)
{
    fputs("elanus - a vector database that Milvus clients cannot tell from Milvus\n\n"
          "  elanus COMMAND [flags]      --help after a command tells its flags\n", out);
    for (const command_group_t *group = command_groups; group->about; group++) {
        fprintf(out, "\n%s:\n", group->about);
        for (const command_t *command = group->commands; command->word; command++)
            fprintf(out, "  %-12s %s\n", command->word, command->about);
    }
}
