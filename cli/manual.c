/* manual - the man page in roff's man macros, from the table of commands */
#include "cli/manual.h"

#include "cli/commands.h"
#include "core/base/buf.h"
#include "core/node/daemon.h"

/* Text as roff takes it: no escape, no request, no dash that becomes a hyphen. */
static void s_text(const char *text, buf_t *into)
{
    bool start = into->len == 0 || into->ptr[into->len - 1] == '\n';
    for (const char *at = text; *at; at++) {
        if (start && (*at == '.' || *at == '\''))
            buf_add_str(into, "\\&");
        if (*at == '\\')
            buf_add_str(into, "\\e");
        else if (*at == '-')
            buf_add_str(into, "\\-");
        else if (strncmp(at, "…", strlen("…")) == 0) {
            buf_add_str(into, "...");
            at += strlen("…") - 1;
        }
        else
            buf_add_u8(into, (uint8_t)*at);
        start = *at == '\n';
    }
}

static void s_synopsis(const command_t *command, buf_t *into)
{
    buf_addf(into, ".SS elanus %s", command->word);
    if (command->words) {
        buf_add_str(into, " ");
        s_text(command->words, into);
    }
    buf_add_str(into, "\n");
    s_text(command->about, into);
    buf_add_str(into, ".\n");
}

static void s_flag(const flag_t *flag, buf_t *into)
{
    buf_add_str(into, ".TP\n.B ");
    s_text(flag->name, into);
    if (flag->value) {
        buf_add_str(into, " ");
        s_text(flag->value, into);
    }
    buf_add_str(into, "\n");
    s_text(flag->about[0] ? flag->about : "(as above)", into);
    buf_add_str(into, "\n");
}

static void s_command(const command_t *command, buf_t *into)
{
    s_synopsis(command, into);
    if (command->more)
        s_text(command->more, into);
    for (size_t list = 0; list < ARRAY_LEN(command->flags); list++)
        for (const flag_t *flag = command->flags[list]; flag && flag->name; flag++)
            s_flag(flag, into);
    if (command->config)
        buf_add_str(into, ".TP\n.B \\-\\-KEY VALUE\na configuration key, as \\-\\-etcd.endpoints "
                          "HOST:PORT, or \\-\\-config FILE;\n.B elanus config\nprints all\n");
    buf_add_str(into, ".PP\n.nf\n");
    s_text(command->examples, into);
    buf_add_str(into, ".fi\n");
}

static void s_ends(buf_t *into)
{
    static const struct { const char *code, *meaning; } s_codes[] = {
        { "0", "it did what was asked; what a cluster could not tell is a line on stderr" },
        { "1", "an error that should not happen" },
        { "2", "a wrong word, flag or configuration, or what was asked for is not there" },
        { "3", "nothing answers there, or what answers is no proxy" },
        { "4", "the metadata store cannot be used" },
        { "5", "the object store cannot be used" },
        { "6", "the data directory belongs to another process" },
        { "7", "the local disk failed or is full" },
        { "8", "stored data is damaged; the line on stderr names object, offset and reason" },
    };
    buf_add_str(into, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < ARRAY_LEN(s_codes); i++)
        buf_addf(into, ".TP\n.B %s\n%s\n", s_codes[i].code, s_codes[i].meaning);
    buf_add_str(into, ".SH ENVIRONMENT\n.TP\n.B COLUMNS\nhow wide tables may be where stdout is no "
                "terminal (80)\n.TP\n.B ETCD_ENDPOINTS, MINIO_ADDRESS \\fR...\\fP\nconfiguration "
                "keys in capitals with _ for the dots\n.TP\n.B ELANUS_CONFIG\na file of "
                "configuration keys\n.SH FILES\ndocs/OPERATING.md, docs/pages.md and "
                "proto/elanus.proto in the source directory\n");
}

static void s_page(buf_t *into)
{
    buf_addf(into, ".\\\" made by `elanus manual` from cli/commands.c\n"
             ".TH ELANUS 1 \"\" \"elanus %s\" \"User Commands\"\n"
             ".SH NAME\nelanus \\- a vector database that Milvus clients cannot tell from Milvus\n"
             ".SH SYNOPSIS\n.B elanus\n.I COMMAND\n[flags]\n.SH DESCRIPTION\n"
             "One program runs the database, looks at a cluster and takes apart what it stores.\n"
             "Commands that look ask the ops port of a proxy, which tells of the whole cluster.\n"
             "Tables fit the terminal: columns that do not are left out or cut; \\-\\-json prints\n"
             "everything.\n", ELANUS_VERSION);
    for (const command_group_t *group = command_groups; group->about; group++) {
        buf_add_str(into, ".SH ");
        for (const char *at = group->about; *at; at++)
            buf_add_u8(into, (uint8_t)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at));
        buf_add_str(into, "\n");
        for (const command_t *command = group->commands; command->word; command++)
            s_command(command, into);
    }
    s_ends(into);
}

int manual_main(const args_t *args)
{
    (void)args;
    buf_scoped text = {0};
    s_page(&text);
    fputs(buf_str(&text), stdout);
    return EXIT_SERVED;
}
