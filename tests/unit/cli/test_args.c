/* args: flags against the table of commands, and whether that table is sound */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/commands.h"

static const flag_t s_flags[] = {
    { "--json", NULL, "as JSON" }, { "--ops", "HOST:PORT", "whom" },
    { "--watch", "[SECONDS]", "again" }, { NULL, NULL, NULL },
};
static const command_t s_command = {
    .word = "try", .about = "a trial", .words = "[ONE] [TWO]", .flags = { s_flags },
    .config = true, .examples = "  elanus try\n",
};
static const command_t s_needs = { .word = "need", .about = "one", .words = "ID",
                                   .examples = "  elanus need 1\n" };

typedef struct { ctx_t ctx; args_t args; } world_t;

static int s_up(void **state)
{
    world_t *world = mem_new(sizeof *world);
    ctx_init(&world->ctx);
    *state = world;
    return 0;
}

static int s_down(void **state)
{
    world_t *world = *state;
    ctx_fini(&world->ctx);
    mem_free(world);
    return 0;
}

#define PARSE(command, ...) ({ \
    char *words_[] = { __VA_ARGS__ }; \
    args_parse(&world->ctx, command, (int)ARRAY_LEN(words_), words_, &world->args); })

static void flags_and_words_come_in_any_order(void **state)
{
    world_t *world = *state;
    assert_int_equal(PARSE(&s_command, "x", "--ops", "a:1", "--json", "y"), OK);
    assert_string_equal(args_get(&world->args, "--ops"), "a:1");
    assert_string_equal(args_get(&world->args, "--json"), "");
    assert_null(args_get(&world->args, "--watch"));
    assert_int_equal(world->args.n_words, 2);
    assert_string_equal(world->args.words[1], "y");

    assert_int_equal(PARSE(&s_command, "--ops=a:1", "--", "--json"), OK);
    assert_string_equal(args_get(&world->args, "--ops"), "a:1");
    assert_string_equal(world->args.words[0], "--json");
}

static void a_value_may_be_left_out(void **state)
{
    world_t *world = *state;
    uint64_t seconds = 2;
    assert_int_equal(PARSE(&s_command, "--watch", "--json"), OK);
    assert_int_equal(args_number(&world->ctx, &world->args, "--watch", 60, &seconds), OK);
    assert_int_equal(seconds, 2);
    assert_int_equal(PARSE(&s_command, "--watch", "5"), OK);
    assert_int_equal(args_number(&world->ctx, &world->args, "--watch", 60, &seconds), OK);
    assert_int_equal(seconds, 5);
    assert_int_equal(args_number(&world->ctx, &world->args, "--watch", 4, &seconds),
                     ERR_PARAM_INVALID);
    assert_int_equal(PARSE(&s_command, "--watch=x"), OK);
    assert_int_equal(args_number(&world->ctx, &world->args, "--watch", 60, &seconds),
                     ERR_PARAM_INVALID);
}

static void configuration_keys_are_passed_on(void **state)
{
    world_t *world = *state;
    assert_int_equal(PARSE(&s_command, "--etcd.endpoints", "a:1", "--minio.address=b:2",
                           "--config", "f", "--json"), OK);
    assert_int_equal(world->args.n_config, 5);
    assert_string_equal(world->args.config[1], "a:1");
    assert_string_equal(world->args.config[4], "f");
    assert_int_equal(PARSE(&s_needs, "--etcd.endpoints", "a:1"), ERR_PARAM_INVALID);
    assert_int_equal(PARSE(&s_command, "--etcd.endpoints"), ERR_PARAM_INVALID);
}

static void what_is_wrong_is_named(void **state)
{
    world_t *world = *state;
    assert_int_equal(PARSE(&s_command, "--nonsense"), ERR_PARAM_INVALID);
    assert_non_null(strstr(world->ctx.text, "--nonsense"));
    assert_int_equal(PARSE(&s_command, "--ops"), ERR_PARAM_INVALID);
    assert_non_null(strstr(world->ctx.text, "--ops HOST:PORT"));
    assert_int_equal(PARSE(&s_command, "--json=1"), ERR_PARAM_INVALID);
    assert_int_equal(PARSE(&s_command, "--json", "--json"), ERR_PARAM_INVALID);
    assert_int_equal(PARSE(&s_command, "x", "y", "z"), ERR_PARAM_INVALID);
    assert_non_null(strstr(world->ctx.text, "\"z\""));
    assert_int_equal(PARSE(&s_needs, "1", "2"), ERR_PARAM_INVALID);
    assert_int_equal(args_parse(&world->ctx, &s_needs, 0, NULL, &world->args),
                     ERR_PARAM_INVALID);
}

/* Every command: found by its word, about in one line, an example that calls it. */
static void the_table_of_commands_is_sound(void **state)
{
    (void)state;
    size_t n = 0;
    for (const command_group_t *group = command_groups; group->about; group++) {
        for (const command_t *command = group->commands; command->word; command++, n++) {
            char start[64];
            snprintf(start, sizeof start, "  elanus %s", command->word);
            assert_ptr_equal(command_find(command->word), command);
            assert_true(strlen(command->about) > 0 && strlen(command->about) < 64);
            assert_int_equal(strncmp(command->examples, start, strlen(start)), 0);
            assert_int_equal(command->examples[strlen(command->examples) - 1], '\n');
            assert_true(!command->run != !command->run_raw);
            for (size_t i = 0; i < ARRAY_LEN(command->flags); i++)
                for (const flag_t *flag = command->flags[i]; flag && flag->name; flag++)
                    assert_ptr_equal(args_flag(command, flag->name), flag);
        }
    }
    assert_true(n > 10);
    assert_null(command_find("nonsense"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(flags_and_words_come_in_any_order),
        T(a_value_may_be_left_out),
        T(configuration_keys_are_passed_on),
        T(what_is_wrong_is_named),
        T(the_table_of_commands_is_sound),
    };
    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
