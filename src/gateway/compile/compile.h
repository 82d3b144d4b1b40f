/* Compile: the last pass of configuration, from a linked and checked manifest to a snapshot. It
 * decides nothing that check has not decided: what is broken there refuses here. Compile thread;
 * nothing it makes is shared before it returns. compile.c makes ports and snapshot; the other files
 * are named after what they compile. */
#pragma once

#include "gateway/compile/compile_pass.h"
#include "gateway/snapshot.h"
#include "manifest/gateway.h"
#include "manifest/http_route.h"
#include "manifest/link/link.h"
#include "manifest/manifest.h"

struct compile {
    const struct server_options *options;
    struct cluster_registry *clusters;
    struct key_feed_registry *feeds;
    struct exporter_registry *exporters; /* NULL: check only */
    struct limit_store *limits;
    struct log_writer *log_writer; /* NULL: check only */
    struct tls_tickets *tickets;   /* NULL: check only */
    struct manifest *manifest;
    struct snapshot *snapshot;
    struct arena scratch;
    VEC(struct cluster *) used_clusters; /* one reference each, handed to the snapshot */
    VEC(struct key_feed *) used_feeds;
    VEC(struct publication) publications; /* handed to the snapshot */
    VEC(struct bounds_wish) bounds;       /* so too */
    VEC(struct str) taken_addresses;      /* asked for, or of --address-pool */
    struct map limit_sets;                /* by the lists they come from; one reference each */
    struct map health;                    /* health.c: what is asked of backends, by their names */
    struct map told;                      /* what compile_tells has been asked */
    VEC(struct object *) guards;          /* of the rule that is being compiled */
    struct map credential_sets;           /* credential.c: what Secrets were made into */
    uint32_t n_listeners;
};

struct compile_place { /* one rule's surroundings while it is compiled */
    const struct gateway *gateway;
    const struct listener *listener;
    struct object *route;
    struct str rule_name;
    struct route_plan *plan;
    struct rule_plan *rule;
    const struct client_plan *client;      /* of the listener */
    const struct compile_traffic *traffic; /* compile/traffic.h */
};

/* A listener to be: the settings of the first of its members, the routes of all (gather.h). */
struct listener_draft {
    VEC(struct listener_member) members;
};

/* compile.c: is it the first time? A rule is compiled once for each listener. */
bool compile_tells(struct compile *c, struct str key);

/* listener.c */
struct str compile_listener_name(struct arena *a, const struct gateway *g,
                                 const struct listener *l);
struct listener_plan *compile_listener(struct compile *c, const struct listener_draft *draft);
void compile_client(struct compile *c, const struct gateway *g, const struct listener *l,
                    struct arena *a, struct client_plan *ret_client);
void compile_client_edits(struct compile *c, const struct gateway *g, const struct listener *l,
                          struct listener_plan *plan);
struct client_traffic_policy; /* of a listener's clients; NULL: none */
const struct client_traffic_policy *
compile_client_policy(struct compile *c, const struct gateway *g, const struct listener *l);

/* route.c: rules of one attached route into the builder. */
struct route_table_builder;
/* A path of the manifests in the one spelling that requests are reduced to (http/path.h). False
 * after reporting it: no request could have it, and none may be sent with it. */
bool compile_path(struct compile *c, struct object *o, struct mark mark, struct str path,
                  struct str *ret);
void compile_route(struct compile *c, const struct listener_member *m,
                   const struct attached_route *attached, struct listener_plan *plan,
                   struct route_table_builder *builder);

/* filter.c: a modifier of `owner` in `a`; NULL after an error: what it is of must not be used. */
struct header_modifier;
const struct header_mods *compile_header_mods(struct compile *c, struct arena *a,
                                              struct object *owner,
                                              const struct header_modifier *m);
void compile_filters(struct compile *c, struct compile_place *at, const struct http_filter *filters,
                     size_t n);
/* Filters of one backendRef: header modifiers; others make its share refuse. */
void compile_backend_filters(struct compile *c, struct compile_place *at,
                             const struct http_backend_ref *ref, struct backend_plan *plan);
/* The rule refuses with 500 from now on. */
void compile_break_rule(struct compile_place *at, const char *why);

/* security.c */
const struct security_plan *compile_security(struct compile *c, const struct compile_place *at);
/* A copy of `plan` (NULL: none) that refuses. `why` is static. */
const struct security_plan *compile_unavailable(struct arena *a, const struct security_plan *plan,
                                                const char *why);
/* key_source.c: the keys of one provider, one reference, the caller's; NULL after saying why. */
struct jwt_provider_spec;
struct key_feed *compile_key_source(struct compile *c, struct object *policy,
                                    const struct jwt_provider_spec *p);
/* The names that a policy writes: late headers of its listeners. */
void compile_late_headers(struct compile *c, struct arena *a, struct name_set *late);

struct backend_draft_vec;
struct cluster_settings;
/* cluster.c: the inbound checks in front of a backend (of an AIServiceBackend: of its Backend)
 * guard the whole rule that may use it. NULL is nothing. */
void compile_guard_of_ref(struct compile *c, const struct compile_place *at,
                          const struct backend_ref *ref);
void compile_backend_ref(struct compile *c, const struct compile_place *at,
                         const struct backend_ref *ref, struct backend_draft_vec *drafts);
/* The cluster of "host[:port]" by DNS. `s` may be NULL, here and below. */
struct cluster *compile_cluster_of_uri(struct compile *c, struct str host_port, bool is_tls,
                                       const struct cluster_settings *s);
void compile_cluster_cleanup(void *cluster); /* for arena_on_cleanup: gives back one reference */
/* The cluster behind a reference from a policy or a mirror; NULL: none. One reference is the
 * caller's. `is_grpc`: it is spoken to in HTTP/2. */
struct cluster *compile_cluster_of(struct compile *c, const struct object *from,
                                   const struct backend_ref *ref, bool is_grpc,
                                   const struct cluster_settings *s);
