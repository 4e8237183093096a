/* completion - what a shell completes behind `elanus`, from the table of commands */
#include "cli/completion.h"

#include <stdio.h>

#include "cli/commands.h"
#include "core/base/buf.h"
#include "core/node/daemon.h"

/* --- words --------------------------------------------------------------------------- */

/* What may follow: a path, a directory, a name of `elanus ps`, or one of these words. */
static const char *s_operand(const command_t *command)
{
    const char *words = command->words;
    if (!words)
        return "";
    if (strstr(words, "FILE") || strstr(words, "PATH"))
        return "file";
    if (strcmp(words, "NAME") == 0)
        return "process";
    if (strcmp(words, "ROLE") == 0)
        return "coord datanode querynode indexnode proxy";
    return strcmp(words, "bash|zsh") == 0 ? "bash zsh" : "";
}

static void s_each_flag(const command_t *command, buf_t *into,
                        void (*add)(const flag_t *flag, buf_t *into))
{
    static const flag_t s_config = { "--config", "FILE", "a file of configuration keys" };
    static const flag_t s_help = { "--help", NULL, "usage, flags and examples" };
    for (size_t list = 0; list < ARRAY_LEN(command->flags); list++)
        for (const flag_t *flag = command->flags[list]; flag && flag->name; flag++)
            add(flag, into);
    if (command->config)
        add(&s_config, into);
    add(&s_help, into);
}

/* --- bash ------------------------------------------------------------------------------ */

static void s_bash_flag(const flag_t *flag, buf_t *into)
{
    buf_addf(into, "%s ", flag->name);
}

static void s_bash_command(const command_t *command, buf_t *into)
{
    buf_addf(into, "    %s)\n        flags=\"", command->word);
    s_each_flag(command, into, s_bash_flag);
    into->len--;                                /* the last space */
    buf_addf(into, "\"\n        operand=\"%s\" ;;\n", s_operand(command));
}

static void s_words(buf_t *into)
{
    bool first = true;
    for (const command_group_t *group = command_groups; group->about; group++) {
        for (const command_t *command = group->commands; command->word; command++) {
            buf_addf(into, "%s%s", first ? "" : " ", command->word);
            first = false;
        }
    }
}

static void s_bash(buf_t *into)
{
    buf_add_str(into,
        "# bash completion of elanus: eval \"$(elanus completion bash)\"\n"
        "_elanus_processes() {\n"
        "    local i dir=\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        [[ ${COMP_WORDS[i]} == --dir ]] && dir=${COMP_WORDS[i + 1]}\n"
        "    done\n"
        "    [[ $dir ]] && elanus ps --dir \"$dir\" 2>/dev/null | awk 'NR > 1 { print $1 }'\n"
        "}\n"
        "_elanus() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "    local flags= operand=\n"
        "    COMPREPLY=()\n"
        "    if ((COMP_CWORD == 1)); then\n"
        "        COMPREPLY=($(compgen -W \"");
    s_words(into);
    buf_add_str(into, "\" -- \"$cur\"))\n        return\n    fi\n"
                      "    case $prev in\n"
                      "    --dir | --data) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
                      "    --config) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
                      "    esac\n    case ${COMP_WORDS[1]} in\n");
    for (const command_group_t *group = command_groups; group->about; group++)
        for (const command_t *command = group->commands; command->word; command++)
            s_bash_command(command, into);
    buf_add_str(into,
        "    esac\n"
        "    if [[ $cur == -* ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n"
        "    elif [[ $operand == file ]]; then\n"
        "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
        "    elif [[ $operand == process ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$(_elanus_processes)\" -- \"$cur\"))\n"
        "    else\n"
        "        COMPREPLY=($(compgen -W \"$operand\" -- \"$cur\"))\n"
        "    fi\n"
        "}\n"
        "complete -F _elanus elanus\n");
}

/* --- zsh --------------------------------------------------------------------------------- */

/* Text inside '…' of a shell, where ':' and brackets mean something to _arguments. */
static void s_quoted(const char *text, buf_t *into)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_str(into, "'\\''");
        else if (*text == '`')
            buf_add_str(into, "");
        else
            buf_addf(into, "%s%c", strchr(":[]\\", *text) ? "\\" : "", *text);
    }
}

static void s_zsh_flag(const flag_t *flag, buf_t *into)
{
    bool dir = strcmp(flag->name, "--dir") == 0 || strcmp(flag->name, "--data") == 0;
    bool file = flag->value && strcmp(flag->value, "FILE") == 0;
    buf_addf(into, " \\\n            '%s[", flag->name);
    s_quoted(flag->about, into);
    buf_add_str(into, "]");
    if (flag->value) {
        buf_add_str(into, flag->value[0] == '[' ? "::" : ":");
        s_quoted(flag->value, into);
        buf_add_str(into, dir ? ":_files -/" : file ? ":_files" : ":");
    }
    buf_add_str(into, "'");
}

static void s_zsh_command(const command_t *command, buf_t *into)
{
    const char *operand = s_operand(command);
    buf_addf(into, "    %s)\n        _arguments", command->word);
    s_each_flag(command, into, s_zsh_flag);
    if (strcmp(operand, "file") == 0)
        buf_add_str(into, " \\\n            '*:file:_files'");
    else if (operand[0] && strcmp(operand, "process") != 0)
        buf_addf(into, " \\\n            '*:word:(%s)'", operand);
    buf_add_str(into, " ;;\n");
}

static void s_zsh(buf_t *into)
{
    buf_add_str(into, "#compdef elanus\n"
                      "# zsh completion of elanus: eval \"$(elanus completion zsh)\"\n"
                      "_elanus() {\n    local -a commands=(\n");
    for (const command_group_t *group = command_groups; group->about; group++) {
        for (const command_t *command = group->commands; command->word; command++) {
            buf_addf(into, "        '%s:", command->word);
            s_quoted(command->about, into);
            buf_add_str(into, "'\n");
        }
    }
    buf_add_str(into, "    )\n    if ((CURRENT == 2)); then\n"
                      "        _describe command commands\n        return\n    fi\n"
                      "    local word=${words[2]}\n    shift words\n    ((CURRENT--))\n"
                      "    case $word in\n");
    for (const command_group_t *group = command_groups; group->about; group++)
        for (const command_t *command = group->commands; command->word; command++)
            s_zsh_command(command, into);
    buf_add_str(into, "    esac\n}\ncompdef _elanus elanus\n");
}

int completion_main(const args_t *args)
{
    const char *shell = args->words[0];
    buf_scoped text = {0};
    if (strcmp(shell, "bash") == 0)
        s_bash(&text);
    else if (strcmp(shell, "zsh") == 0)
        s_zsh(&text);
    else {
        fprintf(stderr, "elanus completion: for bash and zsh, not \"%s\"\n", shell);
        return EXIT_USAGE;
    }
    fputs(buf_str(&text), stdout);
    return EXIT_SERVED;
}
