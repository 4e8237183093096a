/* ctx - see ctx.h */
#include "core/base/ctx.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/fault.h"

void ctx_init(ctx_t *ctx)
{
    memset(ctx, 0, sizeof *ctx);
    arena_init(&ctx->arena);
    ctx->deadline_ms = INT64_MAX;
}

void ctx_fini(ctx_t *ctx)
{
    arena_fini(&ctx->arena);
}

err_t ctx_fail(ctx_t *ctx, err_t err, const char *format, ...)
{
    check(err != OK);
    ctx->err = err;
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->text, sizeof ctx->text, format, args);
    va_end(args);
    if (ctx->text[0] == '\0')
        snprintf(ctx->text, sizeof ctx->text, "%s", err_text(err));
    return err;
}

err_t ctx_prefix(ctx_t *ctx, const char *format, ...)
{
    check(ctx->err != OK);
    char prefix[CTX_TEXT_BYTES / 2], rest[CTX_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(rest, ctx->text, sizeof rest);
    snprintf(ctx->text, sizeof ctx->text, "%s: %.*s", prefix,
             (int)(sizeof ctx->text - sizeof prefix - 3), rest);
    return ctx->err;
}

void ctx_clear(ctx_t *ctx)
{
    ctx->err = OK;
    ctx->text[0] = '\0';
}

bool ctx_spend(ctx_t *ctx, size_t bytes)
{
    if (ctx->budget_bytes && bytes > ctx->budget_bytes - ctx->spent_bytes)
        return false;
    ctx->spent_bytes += bytes;
    return true;
}

void *ctx_try(ctx_t *ctx, size_t bytes)
{
    if (fault_hit() || !ctx_spend(ctx, bytes))
        return NULL;
    return arena_try(&ctx->arena, bytes);
}

void *ctx_new(ctx_t *ctx, size_t bytes)
{
    void *ptr = arena_try(&ctx->arena, bytes);
    check(ptr != NULL);
    return ptr;
}

char *ctx_strdup(ctx_t *ctx, const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(ctx_new(ctx, len), text, len);
}

char *ctx_printf(ctx_t *ctx, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(len >= 0);
    char *text = ctx_new(ctx, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

err_t ctx_copy(ctx_t *ctx, view_t bytes, view_t *ret)
{
    uint8_t *copy = ctx_try(ctx, bytes.len + 1);
    if (!copy)
        return ctx_fail(ctx, ERR_MEMORY, "no memory for %zu bytes", bytes.len);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    *ret = view_of(copy, bytes.len);
    return OK;
}

int64_t ctx_left_ms(const ctx_t *ctx)
{
    if (ctx->deadline_ms == INT64_MAX)
        return INT64_MAX;
    int64_t left = ctx->deadline_ms - clock_mono_ms();
    return left > 0 ? left : 0;
}

void ctx_limit_ms(ctx_t *ctx, int64_t ms)
{
    int64_t at = clock_mono_ms() + ms;
    if (at < ctx->deadline_ms)
        ctx->deadline_ms = at;
}

err_t ctx_alive(ctx_t *ctx)
{
    if (atomic_load_explicit(&ctx->cancelled, memory_order_relaxed))
        return ctx_fail(ctx, ERR_CANCELED, "%s", "");
    if (ctx_left_ms(ctx) == 0)
        return ctx_fail(ctx, ERR_TIMEOUT, "%s", "");
    return OK;
}

void ctx_cancel(ctx_t *ctx)
{
    atomic_store(&ctx->cancelled, true);
}
