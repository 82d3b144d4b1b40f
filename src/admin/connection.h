/* Connections of the admin server; see connection.c. Control's thread. */
#pragma once

#include "admin/admin.h"

/* Takes over `fd`. */
void admin_connection_accept(struct admin_port *port, int fd);
void admin_connections_close(struct admin_port *port);
/* Bytes of answers that wait for their readers, of all ports. */
size_t admin_connections_held(const struct admin *a);
/* Until that is within LIMIT_OBJECTS_BYTES, who has taken the least of its answer is closed. */
void admin_connections_make_room(struct admin *a);
