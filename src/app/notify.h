/* What the service manager is told (systemd, "sd_notify"): ready, loading anew, ending. One
 * datagram each to the socket that $NOTIFY_SOCKET names; without it nobody is told, and it costs
 * nothing.
 *
 * The gateway's process speaks for itself, below a parent too, so that this one stays as small as
 * it is: the unit then wants NotifyAccess=all. Control alone. */
#pragma once

#include "base/macro.h"

struct notify {
    int fd; /* connected; -1: nobody is told */
};

/* Before the sandbox, which lets no local socket be made. A socket that cannot be had is warned of:
 * the gateway serves without. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);
/* `status` is for people, one line; what would end it is written as a blank. */
void notify_ready(const struct notify *n, const char *status);
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n);
