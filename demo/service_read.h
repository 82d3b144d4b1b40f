/* Reads requests from one connection, whole, one after another. */
#pragma once

#include "demo/service.h"

struct service_reader;

struct service_reader *service_reader_new(int fd);
void service_reader_free(struct service_reader *reader);
/* Fills *ret_call, whose texts live until the next read. Returns 0; -1 when the connection is at
 * its end; else the status to answer before it is closed. */
int service_read(struct service_reader *reader, struct service_call *ret_call);
