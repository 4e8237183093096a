/* etcd_http - questions to an etcd cluster over its JSON gateway
 *
 * Knows endpoints and failover, the login token and its renewal, connection
 * reuse and deadlines, and says of each question what is known about it: it
 * was answered, refused, never sent, or possibly carried out although no
 * answer came.  Private to core/meta.
 */
#ifndef CORE_META_ETCD_HTTP_H
#define CORE_META_ETCD_HTTP_H

#include <curl/curl.h>

#include "core/base/buf.h"
#include "core/meta/etcd_json.h"
#include "core/meta/meta.h"

typedef struct etcd_http etcd_http_t;

/* Asks nothing yet.  ERR_CONFIG when etcd.endpoints cannot be read. */
err_t must_use etcd_http_new(ctx_t *ctx, const meta_etcd_options_t *options, etcd_http_t **ret);
void etcd_http_destroy(etcd_http_t **self_p);

/* Ask one endpoint once, within a share of the time that ctx has left.
 *   body    a JSON object
 *   ret     the answer; caller owns (json_decref)
 * Errors  ERR_NETWORK          not sent; ask again, the next endpoint is chosen
 *         ERR_OUTCOME_UNKNOWN  sent, no answer that says what happened; likewise
 *         ERR_KEY_NOT_FOUND    a lease is gone      ERR_CONFLICT  compacted
 *         ERR_CONFIG           not sent: a certificate is not accepted
 *         ERR_DENIED, ERR_PARAM_TOO_LARGE, ERR_DISK_FULL, ERR_CORRUPT, ERR_META
 *                              refused: nothing happened */
err_t must_use etcd_http_try(ctx_t *ctx, etcd_http_t *self, const char *path, buf_t *body,
                             json_t **ret);

/* Ask until there is an answer or the deadline passes; only for questions that
 * may be asked twice.  ERR_META or ERR_TIMEOUT when there was none. */
err_t must_use etcd_http_ask(ctx_t *ctx, etcd_http_t *self, const char *path, buf_t *body,
                             json_t **ret);

/* Between two attempts: a short wait that grows; *pause_ms starts at 0.  False
 * when the errand was cancelled or too little time is left for another attempt
 * to say anything better than the last one did. */
bool must_use etcd_http_pause(ctx_t *ctx, const etcd_http_t *self, int64_t *pause_ms);

/* The deadline passed after attempts that ended in err (ERR_NETWORK or
 * ERR_OUTCOME_UNKNOWN) for a question without effects: what to tell the caller. */
err_t etcd_http_give_up(ctx_t *ctx, const etcd_http_t *self, err_t err);

/* --- for the watch streams -------------------------------------------------- */

/* Set up a handle for a POST to the present endpoint, with the login.  body
 * must outlive the transfer; *headers is freed by the caller after it. */
err_t must_use etcd_http_prepare(ctx_t *ctx, etcd_http_t *self, CURL *curl, const char *path,
                                 const buf_t *body, struct curl_slist **headers);

/* Number of the present endpoint, and "it failed me": go on to the next one
 * unless somebody else did so already. */
size_t etcd_http_endpoint(const etcd_http_t *self);
void etcd_http_rotate(etcd_http_t *self, size_t failed);

/* The server does not take the token any more; the next question logs in. */
void etcd_http_forget_token(etcd_http_t *self);

#endif
