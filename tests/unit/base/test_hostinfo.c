/* hostinfo: figures of this very process are plausible and follow what it does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/hostinfo.h"

static void figures_are_plausible(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    hostinfo_t info;
    assert_int_equal(hostinfo_read(&ctx, "/", &info), OK);
    assert_in_range(info.cpu_cores, 1, 4096);
    assert_true(info.cpu_percent >= 0 && info.cpu_percent < 1e6);
    assert_true(info.memory_used_bytes > 0 && info.memory_used_bytes <= info.memory_total_bytes);
    assert_true(info.rss_bytes > 100000 && info.rss_bytes <= info.virtual_bytes);
    assert_true(info.disk_total_bytes > 0 && info.disk_used_bytes <= info.disk_total_bytes);
    assert_true(info.threads >= 1);
    int64_t age = clock_wall_ms() - info.started_ms;
    assert_true(age > -1000 && age < 600000);
    ctx_fini(&ctx);
}

static void files_memory_and_work_show(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    hostinfo_t before, after;
    assert_int_equal(hostinfo_read(&ctx, NULL, &before), OK);
    enum { MIB = 1 << 20 };
    volatile char *block = malloc(32 * MIB);
    for (size_t i = 0; i < 32 * MIB; i += 512)
        block[i] = 1;
    int fd = open("/dev/null", O_RDONLY);
    for (int64_t until = clock_mono_ms() + 120; clock_mono_ms() < until; )
        continue;
    assert_int_equal(hostinfo_read(&ctx, NULL, &after), OK);
    assert_int_equal(after.open_fds, before.open_fds + 1);
    assert_true(after.most_fds >= after.open_fds);
    assert_true(after.rss_bytes > before.rss_bytes + 30 * MIB);
    assert_true(after.cpu_seconds > before.cpu_seconds);
    assert_true(after.cpu_percent > 1);
    close(fd);
    free((void *)block);
    ctx_fini(&ctx);
}

/* Two reads may be refused without harm (a container's), two are an error. */
static void every_unreadable_file_is_survived(void **state)
{
    (void)state;
    ctx_t ctx;
    ctx_init(&ctx);
    int failures = 0;
    for (int nth = 0; ; nth++) {
        hostinfo_t info = { .cpu_cores = -1 };
        fault_arm(nth);
        err_t err = hostinfo_read(&ctx, NULL, &info);
        bool fired = fault_disarm();
        assert_true(err == OK || err == ERR_IO_FAILED);
        assert_true((err == OK) == (info.cpu_cores > 0));
        failures += err != OK;
        if (!fired)
            break;
    }
    assert_int_equal(failures, 2);
    hostinfo_t info;
    assert_int_equal(hostinfo_read(&ctx, "/no/such/place", &info), OK);
    assert_int_equal(info.disk_total_bytes, 0);
    ctx_fini(&ctx);
}

static void the_machine_has_a_name_and_an_address(void **state)
{
    (void)state;
    char name[256], ip[64], tiny[2];
    hostinfo_name(name, sizeof name);
    assert_true(strlen(name) > 0);
    hostinfo_name(tiny, sizeof tiny);
    assert_true(strlen(tiny) <= 1 || strcmp(tiny, "localhost") == 0);
    hostinfo_ip(ip, sizeof ip);
    assert_true(strchr(ip, '.') != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_plausible),
        cmocka_unit_test(files_memory_and_work_show),
        cmocka_unit_test(every_unreadable_file_is_survived),
        cmocka_unit_test(the_machine_has_a_name_and_an_address),
    };
    return cmocka_run_group_tests_name("hostinfo", tests, NULL, NULL);
}
