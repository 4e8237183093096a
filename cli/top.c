/* top - the terminal side: keys, signals, the alternate screen; see top.h */
#include "cli/top.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli/look.h"
#include "cli/show.h"
#include "core/base/clock.h"
#include "core/node/daemon.h"

enum { EVERY_MS = 1000, PATIENCE_MS = 2000, WIDTH = 80, HEIGHT = 24 };

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME  "\033[H"
#define BELOW "\033[J"

const flag_t top_flags[] = {
    { "--once", NULL, "print one frame without escapes, and end" },
    { "--view", "NAME", "begin with nodes, channels, segments, indexes, requests or events" },
    { NULL, NULL, NULL },
};

typedef struct screen {
    const args_t *args;
    look_t look;
    top_t top;
    char *error;                /* owned; top.error */
    int64_t error_since_ms;     /* monotonic; 0: the last question was answered */
    struct termios before;
    int signal_fd;
    bool leaving;
} screen_t;

/* --- asking ------------------------------------------------------------------------------- */

static err_t s_ask_page(ctx_t *ctx, screen_t *self)
{
    top_t *top = &self->top;
    json_t *nodes = NULL, *page = NULL;
    TRY(look_ask(ctx, &self->look, "nodes", NULL, &nodes));
    json_decref(top->before);
    top->before = top->nodes;
    top->nodes = nodes;
    if (top->view != TOP_NODES)
        TRY(look_ask(ctx, &self->look, top_page(top->view), NULL, &page));
    json_decref(top->page);
    top->page = page;
    return OK;
}

static void s_ask(screen_t *self)
{
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = s_ask_page(&ctx, self);
    int64_t now = clock_mono_ms();
    mem_free(self->error);
    self->error = err == OK ? NULL : mem_strdup(ctx.text);
    if (err == OK)
        self->error_since_ms = 0;
    else if (self->error_since_ms == 0)
        self->error_since_ms = now;
    self->top.error = self->error;
    self->top.error_ms = self->error_since_ms ? now - self->error_since_ms : 0;
    self->top.now_us = clock_wall_us();
    ctx_fini(&ctx);
}

static void s_forget(screen_t *self)
{
    json_decref(self->top.nodes);
    json_decref(self->top.before);
    json_decref(self->top.page);
    mem_free(self->error);
    look_close(&self->look);
}

/* --- drawing -------------------------------------------------------------------------------- */

static void s_draw(const screen_t *self)
{
    struct winsize size = { .ws_col = WIDTH, .ws_row = HEIGHT };
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
        size = (struct winsize){ .ws_col = WIDTH, .ws_row = HEIGHT };
    ctx_t ctx;
    ctx_init(&ctx);
    buf_scoped frame = {0}, out = {0};
    top_frame(&ctx, &self->top, size.ws_col, size.ws_row, true, &frame);
    buf_add_str(&out, HOME);
    for (size_t i = 0; i < frame.len; i++) {
        bool last = i + 1 == frame.len;
        if (frame.ptr[i] == '\n')
            buf_add_str(&out, last ? "\033[K" : "\033[K\r\n");
        else
            buf_add_u8(&out, frame.ptr[i]);
    }
    buf_add_str(&out, BELOW);
    show_out(&out);
    ctx_fini(&ctx);
}

/* --- keys ---------------------------------------------------------------------------- */

static void s_turn(screen_t *self, int by)
{
    top_t *top = &self->top;
    top->view = (top_view_t)(((int)top->view + by + TOP_VIEWS) % TOP_VIEWS);
    top->scroll = 0;
    top->help = false;
    json_decref(top->page);
    top->page = NULL;
}

/* Up is towards older lines; events are counted from the newest. */
static void s_scroll(screen_t *self, int lines)
{
    int by = self->top.view == TOP_EVENTS ? -lines : lines;
    long at = (long)self->top.scroll + by;
    self->top.scroll = at < 0 ? 0 : at > 100000 ? 100000 : (size_t)at;
}

static const struct { const char *keys; int turn, scroll; } s_moves[] = {
    { "\t", 1, 0 }, { "\033[C", 1, 0 }, { "\033[D", -1, 0 }, { "\033[Z", -1, 0 },
    { "\033[A", 0, -1 }, { "\033[B", 0, 1 }, { "\033[5~", 0, -HEIGHT / 2 },
    { "\033[6~", 0, HEIGHT / 2 }, { "b", 0, -HEIGHT / 2 }, { " ", 0, HEIGHT / 2 },
    { "k", 0, -1 }, { "j", 0, 1 },
};

/* One key from what was typed; how many bytes it has.  True: the view is another one. */
static size_t s_key(screen_t *self, const char *typed, bool *ret_other)
{
    for (size_t i = 0; i < ARRAY_LEN(s_moves); i++) {
        size_t len = strlen(s_moves[i].keys);
        if (strncmp(typed, s_moves[i].keys, len) != 0)
            continue;
        if (s_moves[i].turn)
            s_turn(self, s_moves[i].turn);
        *ret_other |= s_moves[i].turn != 0;
        s_scroll(self, s_moves[i].scroll);
        return len;
    }
    if (typed[0] >= '1' && typed[0] < '1' + TOP_VIEWS) {
        s_turn(self, typed[0] - '1' - (int)self->top.view);
        *ret_other = true;
    }
    self->top.help = typed[0] == '?' ? !self->top.help : self->top.help;
    self->top.explain = typed[0] == 'e' ? !self->top.explain : self->top.explain;
    self->leaving |= typed[0] == 'q' || typed[0] == 'Q' || typed[0] == 3;
    return 1;
}

static bool s_keys(screen_t *self)
{
    char typed[64] = "";
    bool other = false;
    ssize_t n = read(STDIN_FILENO, typed, sizeof typed - 1);
    self->leaving |= n <= 0;
    for (ssize_t at = 0; at < n; )
        at += (ssize_t)s_key(self, typed + at, &other);
    return other;
}

/* --- the terminal -------------------------------------------------------------------- */

/* Signals come as bytes of a descriptor, so nothing is torn down in the middle of a frame. */
static void s_enter(screen_t *self)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    self->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    tcgetattr(STDIN_FILENO, &self->before);
    struct termios raw = self->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;          /* it would leave the screen as it is */
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs(ENTER, stdout);
}

static void s_leave(screen_t *self)
{
    fputs(LEAVE, stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &self->before);
    close(self->signal_fd);
}

static void s_signals(screen_t *self)
{
    struct signalfd_siginfo info;
    while (read(self->signal_fd, &info, sizeof info) == sizeof info)
        self->leaving |= info.ssi_signo != SIGWINCH;
}

static void s_live(screen_t *self)
{
    int64_t due = 0;
    while (!self->leaving) {
        int64_t now = clock_mono_ms();
        if (now >= due) {
            s_ask(self);
            due = clock_mono_ms() + EVERY_MS;
        }
        s_draw(self);
        struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                                { .fd = self->signal_fd, .events = POLLIN } };
        int64_t left = due - clock_mono_ms();
        if (poll(fds, 2, left > 0 ? (int)left : 0) <= 0)
            continue;
        if (fds[1].revents)
            s_signals(self);
        if (fds[0].revents && s_keys(self))
            due = 0;                            /* another view: its page now */
    }
}

/* Two answers, as rates need two; nothing that a terminal would have to understand. */
static int s_once(screen_t *self)
{
    s_ask(self);
    if (!self->error) {
        clock_sleep_ms(EVERY_MS);
        s_ask(self);
    }
    ctx_t ctx;
    ctx_init(&ctx);
    buf_scoped text = {0};
    top_frame(&ctx, &self->top, WIDTH, 0, false, &text);
    show_out(&text);
    ctx_fini(&ctx);
    return self->error ? EXIT_NETWORK : EXIT_SERVED;
}

static err_t s_view(ctx_t *ctx, const args_t *args, top_t *top)
{
    static const char *const s_names[TOP_VIEWS] = {
        [TOP_NODES] = "nodes", [TOP_CHANNELS] = "channels", [TOP_SEGMENTS] = "segments",
        [TOP_INDEXES] = "indexes", [TOP_REQUESTS] = "requests", [TOP_EVENTS] = "events",
    };
    const char *wanted = args_get(args, "--view");
    for (top_view_t view = 0; wanted && view < TOP_VIEWS; view++) {
        if (strcmp(s_names[view], wanted) == 0) {
            top->view = view;
            return OK;
        }
    }
    return !wanted ? OK : ctx_fail(ctx, ERR_PARAM_INVALID, "--view has to be nodes, channels, "
                                   "segments, indexes, requests or events, not \"%s\"", wanted);
}

static err_t s_top(ctx_t *ctx, screen_t *self, int *ret_code)
{
    TRY(s_view(ctx, self->args, &self->top));
    TRY(look_open(ctx, self->args, &self->look));
    self->look.quiet = true;
    self->look.patience_ms = PATIENCE_MS;
    if (args_get(self->args, "--once")) {
        *ret_code = s_once(self);
        return OK;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return ctx_fail(ctx, ERR_PARAM_INVALID, "needs a terminal; --once prints one frame");
    s_enter(self);
    s_live(self);
    s_leave(self);
    return OK;
}

int top_main(const args_t *args)
{
    ctx_t ctx;
    ctx_init(&ctx);
    screen_t self = { .args = args, .signal_fd = -1 };
    int code = EXIT_SERVED;
    if (s_top(&ctx, &self, &code) != OK)
        code = look_failed(&ctx, args);
    s_forget(&self);
    ctx_fini(&ctx);
    return code;
}
