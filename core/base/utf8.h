/* utf8 - is it text?
 *
 * Whatever Elanus takes in as a string it may have to give back, and clients
 * refuse a whole answer over one bad byte; so bad bytes are refused at the door.
 */
#ifndef CORE_BASE_UTF8_H
#define CORE_BASE_UTF8_H

#include "core/base/view.h"

/* How many bytes from the start are whole, valid characters (RFC 3629: no
 * overlong forms, no surrogates, nothing past U+10FFFF): bytes.len when all
 * are, else the offset of the first bad one.  NUL is a character. */
size_t utf8_valid_len(view_t bytes);

static inline bool utf8_ok(view_t bytes)
{
    return utf8_valid_len(bytes) == bytes.len;
}

#endif
