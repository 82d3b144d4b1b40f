/* Names that only the gateway writes, however a client spells them. */
#include "gateway/plan.h"

#include "test/harness/test.h"

static const char *const own[] = {
    "tenant-id",
    "Tenant_Id",
    "TENANT-ID",
    "_odd",
    "-odd",
    "x-ai-eg-any",
    "X_Ai-Eg-",
    "x-model",
    "X-Forwarded-Client-Cert",
    "x_forwarded_client_cert",
};
static const char *const others[] = {
    "",    "tenant", "tenant-ids", "host", "x", "x-ai-eg", "x-models", "x-forwarded-client-certs",
    "odd", "Modd",
};

TEST(own_names_are_found_by_their_first_letter_too)
{
    struct listener_plan *p = listener_plan_new();

    name_set_add(&p->late_headers, &p->arena, STR("Tenant-ID"));
    name_set_add(&p->late_headers, &p->arena, STR("-odd"));
    name_set_add(&p->late_headers, &p->arena, STR("x-model"));
    listener_plan_note_initials(p);
    for (size_t i = 0; i < N_ELEMENTS(own); i++)
        CHECK_MSG(listener_plan_is_own(p, str_of(own[i])), "%s passes", own[i]);
    for (size_t i = 0; i < N_ELEMENTS(others); i++)
        CHECK_MSG(!listener_plan_is_own(p, str_of(others[i])), "%s does not pass", others[i]);
    CHECK(!listener_plan_is_own(p, STR("x-envoy-peer")));
    p->client.tells_envoy = true;
    CHECK(listener_plan_is_own(p, STR("X-Envoy-Peer")));
    listener_plan_close(p);
    listener_plan_unref(p);
}
