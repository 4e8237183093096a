/* tls_files - a CA, a server's and a client's certificate, made on the spot
 *
 * A temporary directory with ca.pem, server.pem, server.key, client.pem,
 * client.key (signed by that CA) and stranger.pem, stranger.key (signed by
 * themselves). */
#ifndef TESTS_SUPPORT_TLS_FILES_H
#define TESTS_SUPPORT_TLS_FILES_H

typedef struct tls_files tls_files_t;

tls_files_t *tls_files_new(void);
void tls_files_destroy(tls_files_t **self_p);   /* removes the directory */

/* The path of one of them, "server.pem"; valid until destroy. */
const char *tls_files_path(tls_files_t *self, const char *name);

#endif
