/* Between the files of compile/: the layers in front of a rule. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

struct api_key_auth;
struct secret_ref;
struct security_policy_spec;

/* One policy on its way into the rule's layers. */
struct layer_draft {
    struct compile *c;
    const struct compile_place *at;
    struct object *policy;
    const struct authentication *authentication; /* of the rule; NULL: none */
};

/* The layers of a rule's SecurityPolicy (merged: `spec`) and of the guards noted for it, into
 * at->rule->layers. NULL: all are had as written; else why the rule refuses, static text. */
const char *compile_security_layers(struct compile *c, const struct compile_place *at,
                                    struct object *policy, const struct security_policy_spec *spec,
                                    const struct authentication *authentication);
const char *compile_guards(struct compile *c, const struct compile_place *at);
/* Does an authorization or an authorizer of the rule, whose layers are there, name a header that
 * tells the model? */
bool compile_judges_model(const struct rule_plan *rule);
/* A BackendSecurityPolicy of a backend that the rule may use; once, however many backends share it.
 */
void compile_note_guard(struct compile *c, struct object *policy);
/* Not into a header that frames the message or names its host: whoever chose its value would decide
 * where messages end, and whose they are. False after reporting it; `source` ends the sentence. */
bool compile_may_write(struct compile *c, struct object *policy, struct mark mark,
                       struct str header, const char *source);
/* Headers and parameters in which some policy, attached here or not, looks for a credential. */
void compile_credential_names(struct compile *c, struct arena *a, struct name_set *names);

/* credential.c. NULL: they cannot be had, which was told. One reference is the caller's. */
struct api_keys *compile_keys(const struct layer_draft *d, const struct api_key_auth *s);
struct htpasswd *compile_users(const struct layer_draft *d, const struct secret_ref *ref);
/* At the end of the pass. */
void compile_drop_sets(struct compile *c);

/* cluster.c: "host:port" of a reference from a policy, as an authorizer is called by gRPC. */
struct str compile_authority_of(struct compile *c, const struct object *from,
                                const struct backend_ref *ref);
