/* What the admin server answers; one table of endpoints. Control's thread. */
#pragma once

#include "admin/admin.h"

#define ADMIN_TEXT "text/plain; charset=utf-8"

struct admin_answer {
    uint16_t status;
    const char *type;
    struct buf body; /* taken over and freed by the connection */
    bool is_live;    /* an event stream follows, of the live picture */
};

/* Host and method checked here. Fills the answer. */
void admin_endpoint_serve(struct admin_port *port, const struct http_request *request,
                          struct admin_answer *answer);

/* status.c, config.c: JSON. */
void admin_status_format(const struct admin *a, struct buf *out);
void admin_config_format(const struct admin *a, struct buf *out);
/* Ready to serve? Else `why` says what is missing. */
bool admin_is_ready(const struct admin *a, struct buf *why);
/* One line per key set that has not been fetched yet: its routes answer 503, the rest serves. */
void admin_format_pending_keys(const struct admin *a, struct buf *out);
