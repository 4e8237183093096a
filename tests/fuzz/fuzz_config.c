/* fuzz_config - bytes as a configuration file
 *
 * Promises:
 *
 *   read      every value can be asked for, and the printed file reads back to the same
 *   refused   as a configuration error whose text begins with the file and its place
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/base.h"
#include "core/base/config.h"
#include "tests/support/replay.h"

static const char *const s_no_env[] = { NULL };
static const config_program_t s_program = { .env = s_no_env };

/* Load bytes from a file in memory; the path is put into ret_path. */
static err_t s_load(ctx_t *ctx, view_t bytes, char *ret_path, size_t room, config_t **ret)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
    snprintf(ret_path, room, "/proc/self/fd/%d", fd);
    char flag[] = "--config", *argv[] = { flag, ret_path };
    err_t err = config_load(ctx, 2, argv, &s_program, ret);
    close(fd);
    return err;
}

static void s_check_same(const config_t *a, const config_t *b)
{
    const char *key_a, *key_b, *value_a, *value_b;
    size_t at_a = 0, at_b = 0;
    while (config_next(a, &at_a, &key_a, &value_a)) {
        check(config_next(b, &at_b, &key_b, &value_b) && strcmp(key_a, key_b) == 0);
        bool secret = strcmp(value_a, "***") == 0 || strcmp(value_b, "***") == 0;
        check(secret || strcmp(value_a, value_b) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ctx_t ctx;
    ctx_init(&ctx);
    owned(config) first = NULL;
    owned(config) second = NULL;
    char path[64];
    err_t err = s_load(&ctx, view_of(data, size), path, sizeof path, &first);
    if (err == OK) {
        buf_scoped print = {0};
        config_print(first, &print);
        check(s_load(&ctx, buf_view(&print), path, sizeof path, &second) == OK);
        s_check_same(first, second);
    } else {
        check(err == ERR_CONFIG && !first);
        check(strstr(ctx.text, path) != NULL);
    }
    ctx_fini(&ctx);
    return 0;
}
