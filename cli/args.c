/* args - see args.h */
#include "cli/args.h"

#include <ctype.h>
#include <stdlib.h>

const flag_t *args_flag(const command_t *command, const char *name)
{
    for (size_t list = 0; list < ARRAY_LEN(command->flags); list++)
        for (const flag_t *flag = command->flags[list]; flag && flag->name; flag++)
            if (strcmp(flag->name, name) == 0)
                return flag;
    return NULL;
}

/* "--etcd.endpoints" and "--config", with the value in the same word or the next. */
static bool s_is_config(const command_t *command, const char *word)
{
    size_t name = strcspn(word, "=");
    return command->config && strncmp(word, "--", 2) == 0 &&
           (memchr(word, '.', name) || (name == 8 && strncmp(word, "--config", 8) == 0));
}

static err_t s_take_config(ctx_t *ctx, args_t *self, int argc, char **argv, int *at)
{
    char *word = argv[*at];
    bool joined = strchr(word, '=');
    if (self->n_config + 2 > ARGS_CONFIG)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "too many configuration keys; put them into a file "
                        "and name it with --config FILE");
    if (!joined && *at + 1 == argc)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s needs a value", word);
    self->config[self->n_config++] = word;
    if (!joined)
        self->config[self->n_config++] = argv[++*at];
    return OK;
}

static bool s_may_lack_value(const flag_t *flag)
{
    return flag->value[0] == '[';
}

/* The value of a flag that takes one: behind '=', or the next word. */
static err_t s_value(ctx_t *ctx, const flag_t *flag, int argc, char **argv, int *at,
                     const char **ret)
{
    char *word = argv[*at], *equals = strchr(word, '=');
    if (!flag->value && equals)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s takes no value", flag->name);
    if (!flag->value)
        *ret = "";
    else if (equals)
        *ret = equals + 1;
    else if (*at + 1 < argc && !(s_may_lack_value(flag) && !isdigit((unsigned char)
                                                                   argv[*at + 1][0])))
        *ret = argv[++*at];
    else if (s_may_lack_value(flag))
        *ret = "";
    else
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s needs a value: %s %s", flag->name, flag->name,
                        flag->value);
    return OK;
}

static err_t s_take_flag(ctx_t *ctx, args_t *self, int argc, char **argv, int *at)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argv[*at], "="), argv[*at]);
    const flag_t *flag = args_flag(self->command, name);
    if (!flag)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "no flag %s; elanus %s --help tells which there "
                        "are", name, self->command->word);
    if (args_get(self, name))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s is given twice", name);
    check(self->n_flags < ARGS_FLAGS);
    TRY(s_value(ctx, flag, argc, argv, at, &self->values[self->n_flags]));
    self->flags[self->n_flags++] = flag;
    return OK;
}

static size_t s_words_taken(const command_t *command)
{
    size_t n = 0;
    for (const char *at = command->words; at && *at; at++)
        n += at[0] != ' ' && (at == command->words || at[-1] == ' ');
    return n;
}

static err_t s_take_word(ctx_t *ctx, args_t *self, const char *word)
{
    size_t most = s_words_taken(self->command);
    if (self->n_words == most)
        return ctx_fail(ctx, ERR_PARAM_INVALID, most ? "\"%s\" is one word too many"
                        : "takes no word like \"%s\"", word);
    self->words[self->n_words++] = word;
    return OK;
}

err_t args_parse(ctx_t *ctx, const command_t *command, int argc, char **argv, args_t *ret)
{
    *ret = (args_t){ .command = command };
    bool words_only = false;
    for (int at = 0; at < argc; at++) {
        if (!words_only && strcmp(argv[at], "--") == 0)
            words_only = true;
        else if (words_only || argv[at][0] != '-' || argv[at][1] == '\0')
            TRY(s_take_word(ctx, ret, argv[at]));
        else if (s_is_config(command, argv[at]))
            TRY(s_take_config(ctx, ret, argc, argv, &at));
        else
            TRY(s_take_flag(ctx, ret, argc, argv, &at));
    }
    bool needs = command->words && command->words[0] != '[';
    if (needs && ret->n_words == 0)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "needs %s", command->words);
    return OK;
}

const char *args_get(const args_t *self, const char *name)
{
    for (size_t i = 0; i < self->n_flags; i++)
        if (strcmp(self->flags[i]->name, name) == 0)
            return self->values[i];
    return NULL;
}

err_t args_number(ctx_t *ctx, const args_t *self, const char *name, uint64_t most, uint64_t *ret)
{
    const char *text = args_get(self, name);
    if (!text || !text[0])
        return OK;
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || value > most)
        return ctx_fail(ctx, ERR_PARAM_INVALID, "%s has to be a number from 0 to %llu, not \"%s\"",
                        name, (unsigned long long)most, text);
    *ret = value;
    return OK;
}

/* --- help ----------------------------------------------------------------------------- */

void args_help(const command_t *command, FILE *out)
{
    bool flags = command->flags[0] || command->config;
    fprintf(out, "elanus %s - %s\n\n  elanus %s%s%s%s\n", command->word, command->about,
            command->word, command->words ? " " : "", command->words ? command->words : "",
            flags ? " [flags]" : "");
    if (command->more)
        fprintf(out, "\n%s", command->more);
    if (flags)
        fputs("\nFlags:\n", out);
    for (size_t list = 0; list < ARRAY_LEN(command->flags); list++) {
        for (const flag_t *flag = command->flags[list]; flag && flag->name; flag++) {
            char text[64];
            snprintf(text, sizeof text, "%s%s%s", flag->name, flag->value ? " " : "",
                     flag->value ? flag->value : "");
            fprintf(out, "  %-22s %s\n", text, flag->about);
        }
    }
    if (command->config)
        fputs("  --KEY VALUE            a configuration key, as --etcd.endpoints HOST:PORT;\n"
              "                         `elanus config` prints all; --config FILE reads them\n",
              out);
    fprintf(out, "\nExample%s:\n%s", strchr(command->examples, '\n')[1] ? "s" : "",
            command->examples);
}
