/* One load of configuration: everything read, decoded, linked and checked, in one arena. The
 * compile thread fills it; afterwards it is immutable and may be read by any thread, until it goes
 * whole.
 *
 * How compile walks it: manifest_kind(m, KIND_GATEWAY) -> struct gateway -> spec.listeners[] (those
 * with is_programmed) -> routes[] with their effective hostnames -> the route's rules ->
 * backend_refs (state, target). Policies: manifest_policies() below. */
#pragma once

#include "base/map.h"
#include "manifest/kind.h"

/* The content of each file that was read, before it is wiped; `path` lives as long as the manifest.
 */
typedef void manifest_keep_fn(void *ctx, const char *path, struct str bytes);

struct manifest_options {
    bool is_strict;         /* a missing core object is an error, not a note */
    manifest_keep_fn *keep; /* what the files held; may be NULL */
    void *keep_ctx;
};

struct object_vec {
    struct object **items;
    size_t n;
    size_t cap;
};

struct manifest {
    struct arena arena;
    struct diag_list diags;
    struct manifest_options options;
    struct object_vec objects; /* in the order of reading */
    struct object_vec by_kind[KIND_COUNT];
    struct map by_id;          /* "group/Kind/namespace/name" -> struct object */
    struct map policies;       /* link: where policies are attached */
    struct map lost_guards;    /* namespaces with a guard that cannot be attached */
    struct map grants;         /* link: namespace -> struct object_vec of ReferenceGrants */
    VEC(const char *) files;   /* read, or tried */
    VEC(const char *) folders; /* entered; with the files: what to watch */
    size_t n_not_for_gateway;  /* workloads passed over */
    /* Errors that say only that something is not given (yet): dangling references, missing grants;
     * they are counted in diags.n_errors too. */
    size_t n_incomplete;
    bool is_refused; /* a file unreadable, broken YAML, or a limit: no start, no reload */
};

enum manifest_result {
    MANIFEST_REFUSED = 1, /* `is_refused`; the diagnostics say why. What could be read is there. */
};

/* Reads, decodes, links and checks. Object errors do not refuse: they stand in diags (n_errors) and
 * in the objects (is_broken, conditions). `m` need not be initialised; deinit it in either case. */
MUST_USE int manifest_load(struct manifest *m, const char *const *paths, size_t n,
                           const struct manifest_options *options);
/* The same from texts that stood in files of these names. */
struct manifest_text {
    const char *name;
    struct str bytes;
};
MUST_USE int manifest_load_texts(struct manifest *m, const struct manifest_text *texts, size_t n,
                                 const struct manifest_options *options);
/* The same from one text (tests, fuzzing). */
MUST_USE int manifest_load_bytes(struct manifest *m, const char *name, struct str bytes,
                                 const struct manifest_options *options);
/* Safe on zeroed memory and repeated. */
void manifest_deinit(struct manifest *m);

/* NULL when absent. Namespace empty for cluster-scoped kinds. */
struct object *manifest_find(const struct manifest *m, struct str group, struct str kind,
                             struct str namespace, struct str name);
struct object *manifest_get(const struct manifest *m, enum kind_id kind, struct str namespace,
                            struct str name);
/* A policy of this namespace that guards something is lost: it says no place that is there, its
 * version is not served, or it is given twice. What it would guard nobody can know, so all routes
 * and backends of the namespace refuse. */
void manifest_lose_guard(struct manifest *m, enum kind_id kind, struct str namespace);
bool manifest_has_lost_guard(const struct manifest *m, struct str namespace);
static inline const struct object_vec *manifest_kind(const struct manifest *m, enum kind_id kind)
{
    return &m->by_kind[kind];
}

/* The policies of a kind attached right here: to `target` as a whole (section empty) or to a
 * section of it (a listener, a named rule, a Service port). Never NULL; of the kinds where one
 * excludes the others, at most one. A policy may be is_broken: a broken security policy refuses, it
 * never opens. */
const struct object_vec *manifest_policies_at(const struct manifest *m, enum kind_id policy_kind,
                                              const struct object *target, struct str section);

/* The same for a Service that may stand in no given file (REF_NOT_GIVEN). */
const struct object_vec *manifest_policies_at_service(const struct manifest *m,
                                                      enum kind_id policy_kind,
                                                      struct str namespace, struct str name,
                                                      struct str section);

/* The policies that cover a rule, most specific first: rule, route, listener, Gateway. */
struct policy_chain {
    struct object *items[4];
    size_t n;
};
struct policy_chain manifest_policy_chain(const struct manifest *m, enum kind_id policy_kind,
                                          const struct object *route, struct str rule_name,
                                          const struct object *gateway, struct str listener_name);
/* Where compile lets a Gateway listen; an empty one: everywhere. */
const struct str_vec *manifest_gateway_addresses(const struct object *gateway);
/* "Kind/namespace/name: ..." is broken or unresolvable: sets is_broken and reports. Conditions that
 * accepted the object already, as they have when compile finds the error, are taken back. */
struct diag *manifest_object_error(struct manifest *m, struct object *o, enum diag_code code,
                                   struct mark at, const char *format, ...) PRINTF(5, 6);
