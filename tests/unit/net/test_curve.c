/* curve: who holds a key on the list talks, everybody else does not, and says why. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <czmq.h>
#undef LOG_DEBUG                /* syslog.h's */
#undef LOG_INFO

#include "core/base/fault.h"
#include "core/base/log.h"
#include "tests/support/net_world.h"

typedef struct {
    world_t *world;
    char dir[64], allow[80], node_key[80], stranger_key[80];
    char server_key[41];        /* public, of coord */
} fixture_t;

/* A key pair in dir/name, and its public half in the directory of allowed keys. */
static void s_make_key(fixture_t *fx, const char *name, bool allowed, char path[80],
                       char *ret_public)
{
    zcert_t *cert = zcert_new();
    snprintf(path, 80, "%s/%s", fx->dir, name);
    assert_int_equal(zcert_save(cert, path), 0);
    if (allowed) {
        char public[160];
        snprintf(public, sizeof public, "%s/%s", fx->allow, name);
        assert_int_equal(zcert_save_public(cert, public), 0);
    }
    if (ret_public)
        snprintf(ret_public, 41, "%s", zcert_public_txt(cert));
    zcert_destroy(&cert);
}

static int fixture_up(void **state)
{
    fixture_t *fx = mem_new(sizeof *fx);
    void *world = NULL;
    world_up(&world);
    fx->world = world;
    snprintf(fx->dir, sizeof fx->dir, "/tmp/elanus-curve-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->allow, sizeof fx->allow, "%s/allow", fx->dir);
    assert_int_equal(mkdir(fx->allow, 0700), 0);
    char coord_key[80];
    s_make_key(fx, "coord", true, coord_key, fx->server_key);
    s_make_key(fx, "node", true, fx->node_key, NULL);
    s_make_key(fx, "stranger", false, fx->stranger_key, NULL);
    net_curve_t curve = { .key_file = coord_key, .allow_dir = fx->allow };
    world_open(fx->world, 0, (net_options_t){ .listen = "tcp://127.0.0.1:*", .curve = &curve });
    *state = fx;
    return 0;
}

static int fixture_down(void **state)
{
    fixture_t *fx = *state;
    void *world = fx->world;
    world_down(&world);
    zdir_t *dir = zdir_new(fx->dir, NULL);
    zdir_remove(dir, true);
    zdir_destroy(&dir);
    mem_free(fx);
    return 0;
}

/* Side 1 with this key (NULL: plain) dials side 0. */
static void s_dial(fixture_t *fx, const char *key_file, const char *server_key)
{
    net_curve_t curve = { .key_file = key_file, .allow_dir = fx->allow, .server_key = server_key };
    net_options_t options = { .curve = key_file ? &curve : NULL, .heartbeat_ms = 20 };
    net_t *node = world_open(fx->world, 1, options);
    assert_int_equal(net_dial(node, net_endpoint(fx->world->side[0].net), 0), OK);
}

static void keys_on_the_list_talk(void **state)
{
    fixture_t *fx = *state;
    s_dial(fx, fx->node_key, fx->server_key);
    world_peer(fx->world, 1, NET_UP);
    uint64_t id = world_call(fx->world, 1, net_endpoint(fx->world->side[0].net), "secret");
    net_event_t call = world_until(fx->world, 0, NET_CALL, 0);
    assert_true(view_eq(call.payload, view_str("secret")));
    net_reply(fx->world->side[0].net, call.from, OK, "", call.payload);
    net_free(&call);
    net_event_t reply = world_reply(fx->world, 1, id);
    assert_int_equal(reply.err, OK);
    net_free(&reply);
}

/* Which end sees first that they do not match is chance; dialling again, we see it, too. */
static void s_expect_denied(fixture_t *fx, const char *says)
{
    net_event_t refused = world_peer(fx->world, 1, NET_REFUSED);
    assert_int_equal(refused.err, ERR_DENIED);
    assert_non_null(strstr(refused.text, says));
    net_free(&refused);
    assert_false(world_has(fx->world, 0, NET_PEER, NET_UP));
    assert_false(world_has(fx->world, 1, NET_PEER, NET_UP));
}

static void keys_off_the_list_are_refused(void **state)
{
    fixture_t *fx = *state;
    s_dial(fx, fx->stranger_key, fx->server_key);
    s_expect_denied(fx, "allowed keys");
    net_stats_t stats;
    net_stats(fx->world->side[0].net, &stats);
    assert_true(stats.refused >= 1);
}

/* The list is a directory: a key put there is let in without a restart. */
static void a_key_can_be_added(void **state)
{
    fixture_t *fx = *state;
    s_dial(fx, fx->stranger_key, fx->server_key);
    s_expect_denied(fx, "allowed keys");
    zcert_t *cert = zcert_load(fx->stranger_key);
    char path[160];
    snprintf(path, sizeof path, "%s/added", fx->allow);
    assert_int_equal(zcert_save_public(cert, path), 0);
    zcert_destroy(&cert);
    world_close(fx->world, 1);
    s_dial(fx, fx->stranger_key, fx->server_key);
    world_peer(fx->world, 1, NET_UP);
}

static void plain_cannot_talk_to_curve(void **state)
{
    fixture_t *fx = *state;
    s_dial(fx, NULL, NULL);
    s_expect_denied(fx, "CURVE");
}

static void curve_cannot_talk_to_plain(void **state)
{
    fixture_t *fx = *state;
    world_close(fx->world, 0);
    world_open(fx->world, 0, (net_options_t){ .listen = "tcp://127.0.0.1:*" });
    s_dial(fx, fx->node_key, fx->server_key);
    s_expect_denied(fx, "CURVE");
}

/* A server that is not who it should be learns nothing, and the caller gets a hint. */
static void a_wrong_server_gets_no_greeting(void **state)
{
    fixture_t *fx = *state;
    char wrong[80], public[41];
    s_make_key(fx, "wrong", false, wrong, public);
    s_dial(fx, fx->node_key, public);
    net_call_t ask = { .payload = view_str("secret"), .timeout_ms = 300 };
    uint64_t id;
    const char *at = net_endpoint(fx->world->side[0].net);
    assert_int_equal(net_call(fx->world->side[1].net, at, &ask, &id), OK);
    net_event_t reply = world_reply(fx->world, 1, id);
    assert_int_equal(reply.err, ERR_NETWORK);
    assert_non_null(strstr(reply.text, "server key"));
    net_free(&reply);
    assert_false(world_has(fx->world, 0, NET_PEER, NET_UP));
}

static void s_expect_config(fixture_t *fx, net_options_t options, const char *says)
{
    net_t *net = NULL;
    options.cluster = "c";
    options.role = "r";
    assert_int_equal(net_open(&fx->world->ctx, &options, &net), ERR_CONFIG);
    assert_null(net);
    assert_non_null(strstr(fx->world->ctx.text, says));
}

static void bad_key_settings_say_what_to_do(void **state)
{
    fixture_t *fx = *state;
    char public_only[160];
    snprintf(public_only, sizeof public_only, "%s/node", fx->allow);
    net_curve_t curve = { .key_file = "/nowhere/key", .allow_dir = fx->allow };
    s_expect_config(fx, (net_options_t){ .curve = &curve }, "/nowhere/key");
    curve.key_file = public_only;
    s_expect_config(fx, (net_options_t){ .curve = &curve }, "no secret");
    curve = (net_curve_t){ .key_file = fx->node_key, .allow_dir = "/nowhere/dir" };
    s_expect_config(fx, (net_options_t){ .curve = &curve }, "/nowhere/dir");
    curve = (net_curve_t){ .key_file = fx->node_key, .allow_dir = fx->allow };
    curve.server_key = "short";
    s_expect_config(fx, (net_options_t){ .curve = &curve }, "Z85");
    curve.server_key = NULL;
    s_expect_config(fx, (net_options_t){ .curve = &curve, .listen = "inproc://x" }, "inproc://x");
    net_t *node = world_open(fx->world, 2, (net_options_t){ .curve = &curve });
    assert_int_equal(net_dial(node, "inproc://x", 0), ERR_PARAM_INVALID);
}

static void every_fault_is_reported(void **state)
{
    fixture_t *fx = *state;
    net_curve_t curve = { .key_file = fx->node_key, .allow_dir = fx->allow };
    net_options_t options = { .curve = &curve, .cluster = "c", .role = "r",
                              .listen = "tcp://127.0.0.1:*" };
    bool fired = true;
    for (int nth = 0; fired; nth++) {
        net_t *net = NULL;
        fault_arm(nth);
        err_t err = net_open(&fx->world->ctx, &options, &net);
        fired = fault_disarm();
        assert_int_equal(fired, err != OK);
        assert_int_equal(net == NULL, err != OK);
        net_destroy(&net);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_up, fixture_down)

int main(void)
{
    log_set_level(LOG_ERROR);           /* the refused are logged, which is not tested here */
    const struct CMUnitTest tests[] = {
        T(keys_on_the_list_talk),
        T(keys_off_the_list_are_refused),
        T(a_key_can_be_added),
        T(plain_cannot_talk_to_curve),
        T(curve_cannot_talk_to_plain),
        T(a_wrong_server_gets_no_greeting),
        T(bad_key_settings_say_what_to_do),
        T(every_fault_is_reported),
    };
    return cmocka_run_group_tests_name("curve", tests, NULL, NULL);
}
