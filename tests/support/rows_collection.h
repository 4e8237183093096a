/* rows_collection - a collection in metadata whose rows have an id, a version and a pad */
#ifndef TESTS_SUPPORT_ROWS_COLLECTION_H
#define TESTS_SUPPORT_ROWS_COLLECTION_H

#include "core/catalog/catalog.h"

enum { ROWS_COLLECTION = 500, ROWS_PARTITION = 501 };

/* Into metadata; *ret: its schema, owned. */
void rows_collection_put(meta_t *meta, const char *const *vchannels, size_t n_vchannels,
                         schema_t **ret);

#endif
