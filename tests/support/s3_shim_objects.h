/* s3_shim_objects - what the shim stores: raw bytes by name, in order, each
 * showing in lists from a moment on.  Not locked: the shim does that. */
#ifndef TESTS_SUPPORT_S3_SHIM_OBJECTS_H
#define TESTS_SUPPORT_S3_SHIM_OBJECTS_H

#include "core/base/buf.h"
#include "core/base/vec.h"

typedef struct s3_shim_object {
    char *name;                 /* owned */
    uint8_t *bytes;             /* owned; NULL: deleted */
    size_t len;
    uint64_t hash;              /* of the first bytes ever put here */
    int64_t listed_ms;          /* clock_mono_ms() from which lists show it */
} s3_shim_object_t;

typedef struct s3_shim_objects { vec_t at; } s3_shim_objects_t;

void s3_shim_objects_init(s3_shim_objects_t *self);
void s3_shim_objects_fini(s3_shim_objects_t *self);

/* NULL when it is not there (or deleted). */
s3_shim_object_t *s3_shim_objects_get(s3_shim_objects_t *self, const char *name);

/* False when other bytes were put under this name before. */
bool s3_shim_objects_put(s3_shim_objects_t *self, const char *name, view_t bytes,
                         int64_t listed_ms);
void s3_shim_objects_remove(s3_shim_objects_t *self, const char *name);

/* Add the <Contents> of a page to xml; true when there are more. */
bool s3_shim_objects_list(s3_shim_objects_t *self, const char *prefix, const char *marker, int most,
                          buf_t *xml);

#endif
