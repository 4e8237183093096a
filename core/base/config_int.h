/* config_int - what the files of config share: the table and how values get in */
#ifndef CORE_BASE_CONFIG_INT_H
#define CORE_BASE_CONFIG_INT_H

#include "core/base/config.h"

typedef enum {
    CONFIG_TEXT,
    CONFIG_SECRET,              /* text that is never printed */
    CONFIG_LIST,                /* comma-separated texts, or a YAML sequence */
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_REAL,
    CONFIG_MS,                  /* duration; a bare number counts milliseconds */
    CONFIG_SECONDS,             /* duration; a bare number counts seconds; read as ms */
    CONFIG_BYTES,               /* size; a bare number counts bytes */
    CONFIG_MB,                  /* size; a bare number counts MiB, as in Milvus; read as bytes */
} config_type_t;

typedef struct config_key {
    const char *name;
    config_type_t type;
    const char *def;
    double min, max;            /* numbers; in ms and bytes where the type has a unit */
    const char *allowed;        /* texts: "a|b|c"; NULL: any */
    const char *env;            /* one more environment name; NULL: none */
    const char *meaning;
} config_key_t;

extern const config_key_t config_keys[];
extern const size_t config_n_keys;

typedef enum { FROM_TABLE, FROM_PROGRAM, FROM_FILE, FROM_ENV, FROM_FLAG } config_source_t;

/* Index of the key, -1 when there is none. */
int config_find(const char *name);

/* Parse text for the key and keep a copy.  where: "FILE:3:5", "--port", … */
err_t must_use config_set(ctx_t *ctx, config_t *self, int key, const char *text,
                          config_source_t source, const char *where);

config_source_t config_source(const config_t *self, int key);

/* As given; a secret's too. */
const char *config_text(const config_t *self, int key);

/* ERR_CONFIG "where: unknown key NAME; did you mean X?"; X may be a section when NAME could be. */
err_t config_unknown(ctx_t *ctx, const char *where, const char *name);

/* The same for "--NAME"; flags: the short ones, NULL: none. */
err_t config_unknown_flag(ctx_t *ctx, const char *dashed, const config_pair_t *flags);

/* "a whole number from 1 to 65535", for texts. */
const char *config_expected(ctx_t *ctx, const config_key_t *key);

/* "ETCD_ENDPOINTS" for etcd.endpoints, in ctx's arena. */
const char *config_env_name(ctx_t *ctx, const config_key_t *key);

/* config_file.c: read a YAML file into self. */
err_t must_use config_read_file(ctx_t *ctx, config_t *self, const char *path);

#endif
