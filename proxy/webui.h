/* webui - the console's files, web/, as the ops port of a proxy serves them */
#ifndef PROXY_WEBUI_H
#define PROXY_WEBUI_H

#include "core/ops/ops.h"

/* Serve them under /webui/, and lead / and /webui there. */
void webui_routes(ops_t *ops);

#endif
