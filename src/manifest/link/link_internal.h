/* Between the files of link/ only: the passes in their order, and what they share. */
#pragma once

#include "manifest/gateway.h"
#include "manifest/link/link.h"
#include "manifest/manifest.h"
#include "manifest/ref.h"

/* grant.c: whether a reference from `from` to an object of another namespace is permitted. */
void link_grants(struct manifest *m);
bool grant_permits(const struct manifest *m, const struct object *from, struct str to_group,
                   struct str to_kind, struct str to_namespace, struct str to_name);

/* ref_walk.c: every reference inside an object, found by its decoding table. */
enum ref_type { REF_LOCAL, REF_SECRET, REF_BACKEND, REF_PARENT, REF_POLICY_TARGET };
struct ref_walk {
    struct manifest *m;
    struct object *object;
    struct buf path; /* of the reference, "spec.rules[0].backendRefs[1]" */
    void (*visit)(struct ref_walk *w, enum ref_type type, void *ref);
    void *user;
};
void ref_walk_object(struct ref_walk *w);

/* link_ref.c: resolves all references but parents and policy targets. */
void link_references(struct manifest *m);
/* Reports a reference that leads nowhere. `is_fatal`: the whole object is isolated by it. */
struct link_problem {
    enum ref_state state;
    struct str kind;
    struct str namespace;
    struct str name;
    struct mark mark;
    struct str path;
    bool is_fatal;
};
void link_report(struct manifest *m, struct object *o, const struct link_problem *p);

/* link_gateway.c: classes, listeners, certificates; before routes. */
void link_gateways(struct manifest *m);
/* The conditions of classes and Gateways whose parameters an EnvoyProxy is, anew. */
void link_judge_parameters(struct manifest *m, const struct object *proxy);
/* link_route.c: routes to listeners; afterwards the routes' conditions. */
void link_routes(struct manifest *m);
void link_gateway_conditions(struct manifest *m);
/* "Gateway/namespace/name[/listener]": what the conditions of a route are about. */
struct str route_parent_about(struct manifest *m, const struct object *route,
                              const struct parent_ref *parent);
/* Whether the reference means this listener of its Gateway. */
bool route_parent_means(const struct parent_ref *parent, const struct listener *l);
/* link_conflict.c: of an HTTPRoute and a GRPCRoute that share a host, one leaves its listener. */
void link_route_conflicts(struct manifest *m);
/* link_policy.c */
void link_policies(struct manifest *m);
/* check.c: what is ineffective, bypassed or different. */
void check_manifest(struct manifest *m);

/* link_tls.c: NULL when the PEM texts hold a certificate (chain) and the key that belongs to it,
 * else what is wrong, static text. */
const char *link_certificate_problem(struct str certificate_pem, struct str key_pem);

/* What the three kinds of routes have in common. */
struct route_view {
    struct parent_ref *parent_refs;
    size_t n_parent_refs;
    const struct str_vec *hostnames;
};
struct route_view route_view_of(struct object *route);
/* Whether a rule of this name stands in the route. */
bool route_has_rule(const struct object *route, struct str rule_name);
