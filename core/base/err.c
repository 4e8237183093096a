/* err - the table of err.h as data */
#include "core/base/base.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    const char *name;
    const char *text;
    int32_t code;
    int32_t legacy;
    bool retriable;
} row_t;

static const row_t s_rows[ERR_COUNT_] = {
    [OK] = { "OK", "", 0, 0, false },
#define X(name, code, legacy, retriable, text) \
    [ERR_##name] = { #name, text, code, legacy, retriable },
    ERR_TABLE(X)
#undef X
};

static const row_t *s_row(err_t err)
{
    check((unsigned)err < ERR_COUNT_);
    return &s_rows[err];
}

const char *err_name(err_t err)      { return s_row(err)->name; }
const char *err_text(err_t err)      { return s_row(err)->text; }
int32_t     err_code(err_t err)      { return s_row(err)->code; }
int32_t     err_legacy(err_t err)    { return s_row(err)->legacy; }
bool        err_retriable(err_t err) { return s_row(err)->retriable; }

err_t err_from_wire(int32_t number)
{
    return number >= 0 && number < ERR_COUNT_ ? (err_t)number : ERR_UNEXPECTED;
}

_Noreturn void check_failed(const char *file, int line, const char *cond)
{
    fprintf(stderr, "fatal check_failed at=%s:%d cond=\"%s\"\n", file, line, cond);
    abort();
}
