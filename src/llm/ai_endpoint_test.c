/* Classification of method and path; every row of the table finds itself. */
#include "llm/ai_endpoint.h"

#include "test/harness/test.h"

static enum ai_endpoint classify(const char *method, const char *path)
{
    struct arena a;
    struct kserve_path k;

    arena_init(&a, 1024);
    CHECK_INT(kserve_parse(str_of(path), &a, &k), 0);
    enum ai_endpoint endpoint =
        ai_endpoint_find(http_method_parse(str_of(method)), str_of(path), k.call);
    arena_deinit(&a);
    return endpoint;
}

TEST(endpoints_are_known_by_method_and_path)
{
    static const struct {
        const char *method, *path;
        enum ai_endpoint endpoint;
    } cases[] = {
        {"POST", "/v1/chat/completions", AI_ENDPOINT_CHAT_COMPLETIONS},
        {"GET", "/v1/chat/completions", AI_ENDPOINT_NONE},
        {"POST", "/v1/chat/completions/", AI_ENDPOINT_NONE},
        {"POST", "/v1/chat/completion", AI_ENDPOINT_NONE},
        {"POST", "/anthropic/v1/messages", AI_ENDPOINT_ANTHROPIC_MESSAGES},
        {"GET", "/v1/models", AI_ENDPOINT_MODELS},
        {"POST", "/v1/models", AI_ENDPOINT_NONE},
        {"GET", "/v1/models/m", AI_ENDPOINT_KSERVE_V1_MODEL},
        {"POST", "/v1/models/m:predict", AI_ENDPOINT_KSERVE_V1_PREDICT},
        {"GET", "/v1/models/m:predict", AI_ENDPOINT_NONE},
        {"POST", "/v1/models/m:explain", AI_ENDPOINT_KSERVE_V1_EXPLAIN},
        {"POST", "/v2/models/m/infer", AI_ENDPOINT_KSERVE_V2_INFER},
        {"POST", "/v2/models/m/versions/1/generate_stream", AI_ENDPOINT_KSERVE_V2_GENERATE_STREAM},
        {"GET", "/v2/models/m/versions/1/ready", AI_ENDPOINT_KSERVE_V2_READY},
        {"POST", "/v2/models/m/else", AI_ENDPOINT_NONE},
        {"POST", "/", AI_ENDPOINT_NONE},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        CHECK_MSG(classify(cases[i].method, cases[i].path) == cases[i].endpoint, "%s %s",
                  cases[i].method, cases[i].path);
    }
}

TEST(every_row_finds_itself)
{
    for (unsigned i = 1; i < AI_ENDPOINT_COUNT_; i++) {
        const struct ai_endpoint_row *row = ai_endpoint_row((enum ai_endpoint)i);

        CHECK_MSG(ai_endpoint_find(row->method, row->path, row->call) == (enum ai_endpoint)i, "%s",
                  row->name);
        CHECK(row->dialect != AI_DIALECT_NONE);
    }
}

TEST(the_path_alone_says_whose_api_was_called)
{
    static const struct {
        const char *path;
        enum ai_dialect dialect;
    } cases[] = {
        {"/v1/models/m", AI_DIALECT_KSERVE_V1},
        {"/v1/models/m:predict", AI_DIALECT_KSERVE_V1},
        {"/v1/models/m:explain", AI_DIALECT_KSERVE_V1},
        {"/v2/models/m", AI_DIALECT_KSERVE_V2},
        {"/v2/models/m/versions/1/ready", AI_DIALECT_KSERVE_V2},
        {"/v2/models/m/infer", AI_DIALECT_KSERVE_V2},
        {"/v2/models/m/generate_stream", AI_DIALECT_KSERVE_V2},
        {"/v2/models/m/else", AI_DIALECT_KSERVE_V2},
        {"/v2/health/ready", AI_DIALECT_KSERVE_V2},
        {"/v1/models", AI_DIALECT_OPENAI},
        {"/v1/messages/", AI_DIALECT_NONE},
        {"/", AI_DIALECT_NONE},
        {"", AI_DIALECT_NONE},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(ai_dialect_of_path(str_of(cases[i].path)) == cases[i].dialect, "%s",
                  cases[i].path);
    for (unsigned i = 1; i < AI_ENDPOINT_COUNT_; i++) {
        const struct ai_endpoint_row *row = ai_endpoint_row((enum ai_endpoint)i);

        CHECK_MSG(row->call != KSERVE_NONE || ai_dialect_of_path(row->path) == row->dialect, "%s",
                  row->name);
    }
}
