/* json_text - is this JSON, and what keys does it have?
 *
 * Cells of JSON fields are kept as the text that came in and read again by
 * every filter, which trusts it to be JSON.  So it is checked once, here: RFC
 * 8259, UTF-8, brackets at most LIMIT_JSON_DEPTH deep.  No value is built.
 */
#ifndef PROXY_JSON_TEXT_H
#define PROXY_JSON_TEXT_H

#include "core/base/base.h"

/* Called with each key of the outermost object, without quotes and with escapes undone where
 * that yields something (what is longer than LIMIT_NAME_BYTES is cut: it names no field).
 * False ends the walk. */
typedef bool json_key_fn(void *arg, view_t key);

/* NULL when text is one JSON value (an object, when key is given) and no key was refused;
 * else what is wrong with it, as Go's decoder says it, in `why` or a literal.
 *   key    may be NULL: any value will do
 * Cost   one pass, no allocation, no recursion */
enum { JSON_WHY_BYTES = 96 };
const char *json_text_check(view_t text, json_key_fn *key, void *arg, char why[JSON_WHY_BYTES]);

/* What a refused key makes json_text_check return. */
extern const char *const json_text_key_refused;

#endif
