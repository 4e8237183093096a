/* log - see log.h */
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/journal.h"

enum { LINE_BYTES = 4096 };

static _Atomic int s_level = LOG_INFO;
static _Atomic int s_fd = STDERR_FILENO;
static const char *const s_names[] = { "debug", "info", "warn", "error", "fatal" };

void log_set_level(log_level_t level)
{
    atomic_store(&s_level, (int)level);
}

bool log_wants(log_level_t level)
{
    return (int)level >= atomic_load_explicit(&s_level, memory_order_relaxed);
}

log_level_t log_level(void)
{
    return (log_level_t)atomic_load_explicit(&s_level, memory_order_relaxed);
}

const char *log_level_name(log_level_t level)
{
    check((size_t)level < ARRAY_LEN(s_names));
    return s_names[level];
}

bool log_level_parse(const char *text, log_level_t *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(s_names); i++) {
        if (strcmp(text, s_names[i]) == 0) {
            *ret = (log_level_t)i;
            return true;
        }
    }
    return false;
}

err_t log_to_file(ctx_t *ctx, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return ctx_fail(ctx, ERR_DISK, "cannot write the log file %s: %s; "
                        "check log.file.rootPath", path, strerror(errno));
    int before = atomic_exchange(&s_fd, fd);
    if (before != STDERR_FILENO)
        close(before);
    return OK;
}

static size_t s_head(char *line, int64_t now_us, log_level_t level, const char *event)
{
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t len = strftime(line, LINE_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    return len + (size_t)snprintf(line + len, LINE_BYTES - len, ".%03dZ %s %s ",
                                  (int)(now_us / 1000 % 1000), s_names[level], event);
}

/* A text from outside must not be able to start a line of its own. */
static void s_one_line(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
}

/* Who looks in is shown what happened, however little the log is told to say. */
static bool s_for_journal(log_level_t level)
{
    return level >= LOG_INFO;
}

static void s_write(log_level_t level, const char *event, int64_t suppressed,
                    const char *format, va_list args)
{
    char line[LINE_BYTES];
    int64_t now_us = clock_wall_us();
    size_t head = s_head(line, now_us, level, event), len = head;
    size_t room = sizeof line - len - 40;
    int body = vsnprintf(line + len, room, format, args);
    if (body > 0)
        len += (size_t)body < room ? (size_t)body : room - 1;
    if (suppressed > 0)
        len += (size_t)snprintf(line + len, sizeof line - len, " suppressed=%lld",
                                (long long)suppressed);
    s_one_line(line, len);
    line[len] = '\0';
    if (s_for_journal(level))
        journal_add(now_us, level, event, line + head);
    if (!log_wants(level))
        return;
    line[len++] = '\n';
    ssize_t written = write(atomic_load(&s_fd), line, len);
    (void)written;              /* there is nowhere left to complain to */
}

void log_event(log_level_t level, const char *event, const char *format, ...)
{
    if (!log_wants(level) && !s_for_journal(level))
        return;
    va_list args;
    va_start(args, format);
    s_write(level, event, 0, format, args);
    va_end(args);
}

void log_gated(log_gate_t *gate, log_level_t level, const char *event, const char *format, ...)
{
    if (!log_wants(level) && !s_for_journal(level))
        return;
    int64_t second = clock_mono_ms() / 1000;
    if (atomic_exchange(&gate->second, second) != second)
        atomic_store(&gate->used, 0);
    if (atomic_fetch_add(&gate->used, 1) >= gate->per_second) {
        atomic_fetch_add(&gate->suppressed, 1);
        return;
    }
    va_list args;
    va_start(args, format);
    s_write(level, event, atomic_exchange(&gate->suppressed, 0), format, args);
    va_end(args);
}
