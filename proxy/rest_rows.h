/* rest_rows - answers of reads as JSON rows
 *
 * What is big is written as it is read: no tree of values is built.  A JSON field
 * is a string with JSON in it, keys of the dynamic field are members of the
 * row, vectors of bytes are base64, a sparse vector is an object; floats have as
 * many digits as tell them apart.
 */
#ifndef PROXY_REST_ROWS_H
#define PROXY_REST_ROWS_H

#include "core/base/buf.h"
#include "milvus.pb-c.h"

/* {"code":0,"cost":0,"data":[rows]} */
void rest_rows_query(const ProtobufCMessage *response, buf_t *into);

/* {"code":0,"cost":0,"data":[all hits],"topks":[hits of each query]} */
void rest_rows_search(const ProtobufCMessage *response, buf_t *into);

/* Text in quotes, escaped. */
void rest_rows_quote(buf_t *into, view_t text);

#endif
