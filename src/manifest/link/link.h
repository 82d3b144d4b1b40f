/* The linking and checking passes over a loaded manifest: names to pointers, grants, attachment of
 * routes and policies, conditions, notes. Called by manifest_load; reports into m->diags. Compile
 * thread; no I/O, no clock. */
#pragma once

#include "manifest/manifest.h"

void link_manifest(struct manifest *m);

/* What compile finds an object not to do after all: it is not Accepted any more, and what uses it
 * as its parameters says so (manifest_object_error does this too). `message` lives as long as the
 * load. False: it was not accepted before. */
bool link_take_back(struct manifest *m, struct object *o, struct str message);

struct gateway;
struct listener;
/* What only compile can find, since it knows addresses and builds TLS. */
enum listener_drop {
    LISTENER_HOSTNAME_CONFLICT,
    LISTENER_PROTOCOL_CONFLICT,
    LISTENER_NO_ADDRESS,
    LISTENER_BAD_TLS,
};
/* The listener is not opened after all: sets its conditions and the Gateway's anew. The finding
 * itself is the caller's to report. `message` is static. */
void link_drop_listener(struct manifest *m, struct gateway *g, struct listener *l,
                        enum listener_drop why, const char *message);

/* A Gateway's listener. */
struct listener_member {
    struct gateway *gateway;
    struct listener *listener;
};
/* Of HTTPRoutes and GRPCRoutes that share a host on listeners which are one (at an address that
 * Gateways share), the younger ones leave: reported, with their conditions. */
void link_merged_conflicts(struct manifest *m, const struct listener_member *members, size_t n);
