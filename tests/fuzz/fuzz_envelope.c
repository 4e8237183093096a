/* fuzz_envelope - bytes as the first frame from a stranger
 *
 * Promises:
 *
 *   taken     every field is in its range, and packing it again gives an envelope that
 *             reads the same
 *   refused   as malformed or another layout, with a text
 */
#include "core/base/base.h"
#include "core/wire/envelope.h"
#include "tests/support/replay.h"

static void s_check_same(const envelope_t *a, const envelope_t *b)
{
    check(a->type == b->type && a->kind == b->kind && a->request_id == b->request_id);
    check(a->deadline_ms == b->deadline_ms && a->trace == b->trace && a->epoch == b->epoch);
    check(a->error == b->error && a->has_hello == b->has_hello);
    check(strncmp(a->error_text, b->error_text, LIMIT_NET_TEXT_BYTES) == 0);
    if (!a->has_hello)
        return;
    check(strcmp(a->hello.cluster, b->hello.cluster) == 0);
    check(strcmp(a->hello.version, b->hello.version) == 0);
    check(strcmp(a->hello.role, b->hello.role) == 0);
    check(a->hello.node_id == b->hello.node_id && a->hello.incarnation == b->hello.incarnation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static envelope_room_t room, other_room;
    uint8_t bytes[LIMIT_NET_ENVELOPE_BYTES];
    envelope_t envelope, again;
    ctx_t ctx;
    ctx_init(&ctx);
    err_t err = envelope_unpack(&ctx, view_of(data, size), &room, &envelope);
    if (err == OK) {
        size_t len = envelope_pack(&envelope, bytes);
        check(envelope_unpack(&ctx, view_of(bytes, len), &other_room, &again) == OK);
        s_check_same(&envelope, &again);
    } else {
        check(err == ERR_MALFORMED || err == ERR_VERSION);
        check(ctx.err == err && strlen(ctx.text) > 10);
    }
    ctx_fini(&ctx);
    return 0;
}
