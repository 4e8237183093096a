/* net_curve - keys, and who is allowed in
 *
 * With CURVE on, each socket has this node's key pair, every server is known by
 * one public key (server_key), and a client is let in when its public key is a
 * certificate in allow_dir; the directory is read again when it changes.
 *
 * libzmq asks about each handshake over the ZAP socket (rfc.zeromq.org/spec/27),
 * one name per context; so a net with keys has a context of its own, and
 * two nets of one process cannot answer each other's questions.  The answer
 * comes from the node's own loop.  czmq's zauth would do the same in a thread
 * more, with one allow-list for the whole process; its certificates we use.
 *
 *     question:  version "1.0", id, domain, address, identity, mechanism, key
 *     answer:    version "1.0", id, status "200" or "400", text, user, metadata
 */
#include <czmq.h>
#undef LOG_DEBUG                /* czmq.h brings syslog.h, whose names are ours, too */
#undef LOG_INFO

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/net/net_int.h"

enum { ZAP_PARTS = 7, ZAP_MOST_BYTES = 256, Z85_BYTES = 41 };

struct keys {
    zcert_t *own;
    zcertstore_t *allowed;
    char server_key[Z85_BYTES];
};

void net_keys_destroy(keys_t **self_p)
{
    keys_t *self = *self_p;
    if (!self)
        return;
    zcert_destroy(&self->own);
    zcertstore_destroy(&self->allowed);
    mem_free(self);
    *self_p = NULL;
}

static bool s_is_z85(const char *key)
{
    uint8_t bytes[32];
    return strlen(key) == Z85_BYTES - 1 && zmq_z85_decode(bytes, key);
}

static err_t s_load(ctx_t *ctx, const net_curve_t *curve, keys_t *keys)
{
    check(curve->key_file && curve->allow_dir);
    keys->own = fault_hit() ? NULL : zcert_load(curve->key_file);
    static const uint8_t no_key[32];
    if (!keys->own || memcmp(zcert_secret_key(keys->own), no_key, sizeof no_key) == 0)
        return ctx_fail(ctx, ERR_CONFIG, "%s holds no secret CURVE key that can be read; make one "
                        "with zcert_save, or correct the path", curve->key_file);
    if (access(curve->allow_dir, R_OK | X_OK) != 0)
        return ctx_fail(ctx, ERR_CONFIG, "cannot read the allowed keys in %s: %s",
                        curve->allow_dir, strerror(errno));
    const char *server = curve->server_key ? curve->server_key : zcert_public_txt(keys->own);
    if (!s_is_z85(server))
        return ctx_fail(ctx, ERR_CONFIG, "the server key \"%s\" is not 40 characters of Z85",
                        server);
    memcpy(keys->server_key, server, Z85_BYTES);
    keys->allowed = zcertstore_new(curve->allow_dir);
    return keys->allowed ? OK : ctx_fail(ctx, ERR_CONFIG, "cannot read the allowed keys in %s",
                                         curve->allow_dir);
}

err_t net_keys_load(ctx_t *ctx, const net_curve_t *curve, keys_t **ret)
{
    if (!zmq_has("curve"))
        return ctx_fail(ctx, ERR_CONFIG, "this libzmq was built without CURVE");
    keys_t *keys = mem_new(sizeof *keys);
    err_t err = s_load(ctx, curve, keys);
    if (err == OK)
        *ret = keys;
    else
        net_keys_destroy(&keys);
    return err;
}

static void s_set_own(const keys_t *keys, void *socket)
{
    check(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, zcert_public_key(keys->own), 32) == 0);
    check(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, zcert_secret_key(keys->own), 32) == 0);
}

void net_keys_server(const keys_t *keys, void *socket)
{
    int yes = 1;
    check(zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) == 0);
    check(zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "elanus", 6) == 0);
    s_set_own(keys, socket);
}

void net_keys_client(const keys_t *keys, void *socket)
{
    check(zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server_key, Z85_BYTES) == 0);
    s_set_own(keys, socket);
}

/* The question is from libzmq, but the key in it is from a stranger. */
static bool s_is_allowed(net_t *self, view_t mechanism, view_t key)
{
    char text[Z85_BYTES];
    if (!view_eq(mechanism, view_str("CURVE")) || key.len != 32)
        return false;
    zmq_z85_encode(text, key.ptr, key.len);
    return zcertstore_lookup(self->keys->allowed, text) != NULL;
}

static void s_answer(net_t *self, view_t id, bool allowed)
{
    void *zap = self->zap.socket;
    const char *parts[] = { "1.0", "", allowed ? "200" : "400", allowed ? "OK" : "key not allowed",
                            "", "" };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        view_t part = i == 1 ? id : view_str(parts[i]);
        int more = i + 1 < ARRAY_LEN(parts) ? ZMQ_SNDMORE : 0;
        check(zmq_send(zap, part.ptr, part.len, more) >= 0);
    }
}

bool net_keys_input(net_t *self)
{
    static log_gate_t gate = { .per_second = 5 };
    uint8_t bytes[ZAP_PARTS][ZAP_MOST_BYTES];
    view_t part[ZAP_PARTS] = {0};
    int n = 0, more = 1;
    size_t len = sizeof more;
    for (; more && n < ZAP_PARTS; n++) {
        int got = zmq_recv(self->zap.socket, bytes[n], ZAP_MOST_BYTES, ZMQ_DONTWAIT);
        if (got < 0) {
            check(n == 0);
            return false;
        }
        check(got <= ZAP_MOST_BYTES);
        part[n] = view_of(bytes[n], (size_t)got);
        check(zmq_getsockopt(self->zap.socket, ZMQ_RCVMORE, &more, &len) == 0);
    }
    check(!more && n >= 6);
    bool allowed = s_is_allowed(self, part[5], part[6]);
    if (!allowed) {
        self->stats.refused++;
        log_gated(&gate, LOG_WARN, "net_denied", "endpoint=%s ip=%.*s why=\"key not allowed\"",
                  self->endpoint, (int)part[3].len, (const char *)part[3].ptr);
    }
    s_answer(self, part[1], allowed);
    return true;
}
