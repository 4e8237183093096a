/* ask: one GET, against a server of this test that says what it is told to */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/ask.h"
#include "core/base/limits.h"

typedef struct world {
    ctx_t ctx;
    int listener;
    char address[32];
    const char *says;           /* NULL: takes the question and is silent until the end */
    char asked[2048];
    pthread_t thread;
} world_t;

/* Reads to the end of the question, answers, hangs up. */
static void *s_serve(void *arg)
{
    world_t *world = arg;
    int fd = accept(world->listener, NULL, NULL);
    size_t len = 0;
    while (!strstr(world->asked, "\r\n\r\n")) {
        ssize_t n = read(fd, world->asked + len, sizeof world->asked - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    const char *at = world->says ? world->says : "";
    if (world->says && send(fd, at, strlen(at), MSG_NOSIGNAL) < 0)
        at = "";
    while (!world->says && read(fd, world->asked, 1) > 0)
        ;
    close(fd);
    return NULL;
}

static int s_up(void **state)
{
    world_t *world = mem_new(sizeof *world);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    ctx_init(&world->ctx);
    world->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(world->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(world->listener, 1), 0);
    getsockname(world->listener, (struct sockaddr *)&at, &len);
    snprintf(world->address, sizeof world->address, "127.0.0.1:%d", ntohs(at.sin_port));
    *state = world;
    return 0;
}

static int s_down(void **state)
{
    world_t *world = *state;
    close(world->listener);
    ctx_fini(&world->ctx);
    mem_free(world);
    return 0;
}

static err_t s_ask(world_t *world, const char *says, int64_t patience_ms, ask_answer_t *ret)
{
    world->says = says;
    pthread_create(&world->thread, NULL, s_serve, world);
    err_t err = ask_get(&world->ctx, &(ask_t){ .address = world->address, .path = "/x?a=1",
                        .token = "root:Milvus", .patience_ms = patience_ms }, ret);
    pthread_join(world->thread, NULL);
    return err;
}

static void the_answer_comes_whole(void **state)
{
    world_t *world = *state;
    ask_answer_t answer = {0};
    assert_int_equal(s_ask(world, "HTTP/1.1 404 Not Found\r\nX: y\r\ncontent-length:  5\r\n\r\n"
                           "hello", 5000, &answer), OK);
    assert_int_equal(answer.status, 404);
    assert_int_equal(answer.body.len, 5);
    assert_string_equal((const char *)answer.body.ptr, "hello");
    assert_non_null(strstr(world->asked, "GET /x?a=1 HTTP/1.1\r\n"));
    assert_non_null(strstr(world->asked, "Authorization: Basic cm9vdDpNaWx2dXM=\r\n"));
}

static void silence_ends_at_the_deadline(void **state)
{
    world_t *world = *state;
    ask_answer_t answer = {0};
    assert_int_equal(s_ask(world, NULL, 50, &answer), ERR_TIMEOUT);
    assert_non_null(strstr(world->ctx.text, world->address));
    assert_true(world->ctx.deadline_ms == INT64_MAX);
}

static void what_is_no_ops_port_is_told(void **state)
{
    static const struct { const char *says; err_t err; } s_bad[] = {
        { "SSH-2.0-OpenSSH\r\n", ERR_MALFORMED },
        { "HTTP/1.1 200 OK\r\n\r\nx", ERR_MALFORMED },
        { "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx", ERR_MALFORMED },
        { "HTTP/1.1\r\n\r\n", ERR_MALFORMED },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", ERR_NETWORK },
        { "HTTP/1.1 200 OK\r\nContent-Len", ERR_NETWORK },
        { "", ERR_NETWORK },
        { "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", ERR_PARAM_TOO_LARGE },
    };
    for (size_t i = 0; i < ARRAY_LEN(s_bad); i++) {
        world_t *world = *state;
        ask_answer_t answer = {0};
        memset(world->asked, 0, sizeof world->asked);
        assert_int_equal(s_ask(world, s_bad[i].says, 5000, &answer), s_bad[i].err);
    }
}

static void nobody_there_and_no_address(void **state)
{
    world_t *world = *state;
    ask_answer_t answer = {0};
    ask_t ask = { .path = "/", .patience_ms = 5000 };
    static const char *const s_none[] = { "", "host", ":1", "h:", "h:x", "h:123456", "[]:1" };
    for (size_t i = 0; i < ARRAY_LEN(s_none); i++) {
        ask.address = s_none[i];
        assert_int_equal(ask_get(&world->ctx, &ask, &answer), ERR_PARAM_INVALID);
    }
    close(world->listener);
    world->listener = -1;
    ask.address = world->address;
    assert_int_equal(ask_get(&world->ctx, &ask, &answer), ERR_NETWORK);
    assert_non_null(strstr(world->ctx.text, "nothing answers at 127.0.0.1:"));
}

static void names_are_escaped(void **state)
{
    world_t *world = *state;
    assert_string_equal(ask_escape(&world->ctx, "a-b_c.d~"), "a-b_c.d~");
    assert_string_equal(ask_escape(&world->ctx, "a b&c=ö\r"), "a%20b%26c%3D%C3%B6%0D");
}

#define T(f) cmocka_unit_test_setup_teardown(f, s_up, s_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_answer_comes_whole),
        T(silence_ends_at_the_deadline),
        T(what_is_no_ops_port_is_told),
        T(nobody_there_and_no_address),
        T(names_are_escaped),
    };
    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
