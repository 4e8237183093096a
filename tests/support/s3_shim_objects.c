/* s3_shim_objects - a sorted array; a deleted object stays as a tombstone so
 * that its first bytes are remembered */
#include "tests/support/s3_shim_objects.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/crc.h"

void s3_shim_objects_init(s3_shim_objects_t *self)
{
    vec_init(&self->at, sizeof(s3_shim_object_t));
}

void s3_shim_objects_fini(s3_shim_objects_t *self)
{
    for (size_t i = 0; i < self->at.len; i++) {
        s3_shim_object_t *object = vec_at(&self->at, i);
        mem_free(object->name);
        mem_free(object->bytes);
    }
    vec_fini(&self->at);
}

static s3_shim_object_t *s_find(s3_shim_objects_t *self, const char *name)
{
    for (size_t i = 0; i < self->at.len; i++) {
        s3_shim_object_t *object = vec_at(&self->at, i);
        if (strcmp(object->name, name) == 0)
            return object;
    }
    return NULL;
}

s3_shim_object_t *s3_shim_objects_get(s3_shim_objects_t *self, const char *name)
{
    s3_shim_object_t *object = s_find(self, name);
    return object && object->bytes ? object : NULL;
}

static int s_compare(const void *a, const void *b)
{
    return strcmp(((const s3_shim_object_t *)a)->name, ((const s3_shim_object_t *)b)->name);
}

static uint64_t s_hash(view_t bytes)
{
    return (uint64_t)bytes.len << 32 | crc32c(bytes.ptr, bytes.len);
}

bool s3_shim_objects_put(s3_shim_objects_t *self, const char *name, view_t bytes, int64_t listed_ms)
{
    s3_shim_object_t *object = s_find(self, name);
    if (!object) {
        s3_shim_object_t fresh = { .name = mem_strdup(name), .hash = s_hash(bytes),
                                   .listed_ms = listed_ms };
        vec_push(&self->at, &fresh);
        qsort(self->at.ptr, self->at.len, sizeof fresh, s_compare);
        object = s_find(self, name);
    }
    mem_free(object->bytes);
    object->bytes = mem_new(bytes.len);
    memcpy(object->bytes, bytes.ptr, bytes.len);
    object->len = bytes.len;
    return object->hash == s_hash(bytes);
}

void s3_shim_objects_remove(s3_shim_objects_t *self, const char *name)
{
    s3_shim_object_t *object = s_find(self, name);
    if (!object)
        return;
    mem_free(object->bytes);
    object->bytes = NULL;
}

bool s3_shim_objects_list(s3_shim_objects_t *self, const char *prefix, const char *marker, int most,
                          buf_t *xml)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < self->at.len; i++) {
        const s3_shim_object_t *object = vec_at(&self->at, i);
        if (!object->bytes || object->listed_ms > now || strcmp(object->name, marker) <= 0 ||
            strncmp(object->name, prefix, strlen(prefix)) != 0)
            continue;
        if (most-- == 0)
            return true;
        buf_addf(xml, "<Contents><Key>%s</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
                 "<ETag>&quot;x&quot;</ETag><Size>%zu</Size><Owner><ID>x</ID><DisplayName>x"
                 "</DisplayName></Owner><StorageClass>STANDARD</StorageClass></Contents>",
                 object->name, object->len);
    }
    return false;
}
