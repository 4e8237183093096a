/* config - what an operator may set, and where each value came from
 *
 * All keys are rows of one table (config_keys.c): Milvus's name where Milvus
 * has the key, otherwise `elanus.…`.  A value is taken from the last of
 *
 *     the table's default
 *     the program's own default       (standalone listens on loopback)
 *     the YAML file                   --config FILE or ELANUS_CONFIG=FILE
 *     the environment                 ETCD_ENDPOINTS for etcd.endpoints
 *     a flag                          --etcd.endpoints a:2379, --etcd.endpoints=a:2379
 *
 * Environment names are the key in capitals with '_' for '.'; as in Milvus,
 * '_' may stand anywhere else (MINIO_ACCESS_KEY_ID is minio.accessKeyID), and
 * an empty variable counts as not set.  Secrets belong in the file or the
 * environment: flags are seen by everyone who may list processes.
 *
 * A file is a mapping of mappings, or has keys with dots, or both.  What is
 * not a key is an error with its place, and so is a value of the wrong kind,
 * out of range or given twice, an anchor, an alias, a tag, a second document.
 */
#ifndef CORE_BASE_CONFIG_H
#define CORE_BASE_CONFIG_H

#include "core/base/base.h"
#include "core/base/buf.h"

typedef struct config config_t;

typedef struct config_pair { const char *name, *value; } config_pair_t;

/* What a program adds; lists end with a row of NULLs, NULL means none. */
typedef struct config_program {
    const config_pair_t *flags;     /* short flag without "--" → key: { "port", "proxy.port" } */
    const config_pair_t *defaults;  /* key → its default in this program */
    const char *const *env;         /* "NAME=value", NULL-terminated; NULL: the process's */
} config_program_t;

/* Read everything there is.
 *   argc, argv  the flags alone: without the program's name or a command word
 *   program     borrowed during the call
 *   ret         out, caller owns
 * Errors  ERR_CONFIG  the text says where (FILE:LINE:COLUMN, the variable or the flag), which
 *                     key, what was found and what was expected; never a secret's value
 *         ERR_MEMORY  the file is too much for the memory there is */
err_t must_use config_load(ctx_t *ctx, int argc, char *const *argv, const config_program_t *program,
                           config_t **ret);

/* Overwrites the secrets, then frees. */
void config_destroy(config_t **self_p);

/* Values by key; a key that is not in the table, or of another type, is a
 * programmer's mistake and stops the process.  The key is searched for among
 * all: read at start and keep the value.  Any thread, once loaded. */
const char *config_str(const config_t *self, const char *key);      /* text, secret; borrowed */
int64_t     config_int(const config_t *self, const char *key);      /* numbers; durations in ms,
                                                                       sizes in bytes */
double      config_real(const config_t *self, const char *key);
bool        config_bool(const config_t *self, const char *key);
size_t      config_list_len(const config_t *self, const char *key);
const char *config_list_at(const config_t *self, const char *key, size_t i);

/* True when someone has set it: the value is not the table's default. */
bool config_given(const config_t *self, const char *key);

/* Where the value came from, for error texts: "FILE:3:5", "environment ETCD_ENDPOINTS",
 * "--port", "default". */
const char *config_where(const config_t *self, const char *key);

/* `for (size_t at = 0; config_next(c, &at, &key, &value); )`: all keys in the
 * table's order, values as text, "***" for a secret that is not empty. */
bool config_next(const config_t *self, size_t *at, const char **ret_key, const char **ret_value);

/* All keys with meaning, kind, default, environment name and present value as
 * a YAML file that config_load reads back; secrets are commented out. */
void config_print(const config_t *self, buf_t *into);

/* One line a short flag, for --help: "  --port  proxy.port  where clients …". */
void config_print_flags(const config_program_t *program, buf_t *into);

#endif
