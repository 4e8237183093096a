/* health - see health.h */
#include "cli/health.h"

#include <stdio.h>

#include "cli/ask.h"
#include "core/node/daemon.h"

enum { PATIENCE_MS = 4000 };

int health_main(const args_t *args)
{
    ctx_t ctx;
    ctx_init(&ctx);
    ask_answer_t answer = {0};
    const ask_t ask = { .address = args->n_words ? args->words[0] : "127.0.0.1:9091",
                        .path = "/healthz", .patience_ms = PATIENCE_MS };
    int code = EXIT_NETWORK;
    err_t err = ask_get(&ctx, &ask, &answer);
    if (err == OK) {
        puts((const char *)answer.body.ptr);
        code = answer.status == 200 ? EXIT_SERVED : EXIT_BUG;
    } else {
        fprintf(stderr, "elanus health: %s; is the daemon up, and is this its elanus.ops.port?\n",
                ctx.text);
        code = err == ERR_PARAM_INVALID ? EXIT_USAGE : EXIT_NETWORK;
    }
    ctx_fini(&ctx);
    return code;
}
