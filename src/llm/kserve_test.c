/* KServe paths and the model names that they carry. */
#include "llm/kserve.h"

#include "test/harness/test.h"

TEST(kserve_paths_name_their_model)
{
    static const struct {
        const char *path;
        enum kserve_call call;
        const char *model, *version;
    } cases[] = {
        {"/v1/models/sklearn-iris:predict", KSERVE_V1_PREDICT, "sklearn-iris", ""},
        {"/v1/models/sklearn-iris:explain", KSERVE_V1_EXPLAIN, "sklearn-iris", ""},
        {"/v1/models/sklearn-iris", KSERVE_V1_MODEL, "sklearn-iris", ""},
        {"/v1/models/llama3:8b", KSERVE_V1_MODEL, "llama3:8b", ""},
        {"/v1/models/llama3:8b:predict", KSERVE_V1_PREDICT, "llama3:8b", ""},
        {"/v1/models/:predict", KSERVE_V1_MODEL, ":predict", ""},
        {"/v1/models/m/", KSERVE_OTHER, "m", ""},
        {"/v1/models/m:predict/", KSERVE_OTHER, "m", ""},
        {"/v1/models/m/versions/2:predict", KSERVE_OTHER, "m", ""},
        {"/v1/models/m:classify", KSERVE_OTHER, "m", ""},
        {"/v2/repository/models/m/load", KSERVE_OTHER, "m", ""},
        {"/v2/repository/models/m", KSERVE_OTHER, "m", ""},
        {"/v2/repository/index", KSERVE_NONE, "", ""},
        {"/v1/models", KSERVE_NONE, "", ""},
        {"/v1/models/", KSERVE_NONE, "", ""},
        {"/v1/model/m", KSERVE_NONE, "", ""},
        {"/v3/models/m", KSERVE_NONE, "", ""},
        {"/x/v1/models/m", KSERVE_NONE, "", ""},
        {"/v2/models/m", KSERVE_V2_MODEL, "m", ""},
        {"/v2/models/m/ready", KSERVE_V2_READY, "m", ""},
        {"/v2/models/m/infer", KSERVE_V2_INFER, "m", ""},
        {"/v2/models/m/generate", KSERVE_V2_GENERATE, "m", ""},
        {"/v2/models/m/generate_stream", KSERVE_V2_GENERATE_STREAM, "m", ""},
        {"/v2/models/m/versions/7", KSERVE_V2_MODEL, "m", "7"},
        {"/v2/models/m/versions/7/infer", KSERVE_V2_INFER, "m", "7"},
        {"/v2/models/m/versions/7/infer/x", KSERVE_OTHER, "m", "7"},
        {"/v2/models/m/versions", KSERVE_OTHER, "m", ""},
        {"/v2/models/m/Infer", KSERVE_OTHER, "m", ""},
        {"/v2/models/m/infer/", KSERVE_OTHER, "m", ""},
        {"/v2/models/m%2B1/infer", KSERVE_V2_INFER, "m+1", ""},
        {"/v2/models/m%25/infer", KSERVE_V2_INFER, "m%", ""},
    };
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct kserve_path p;

        CHECK_MSG(kserve_parse(str_of(cases[i].path), &a, &p) == 0, "%s", cases[i].path);
        CHECK_MSG(p.call == cases[i].call, "%s: call %d", cases[i].path, (int)p.call);
        CHECK_STR(p.model, cases[i].model);
        CHECK_STR(p.version, cases[i].version);
    }
    arena_deinit(&a);
}

TEST(bad_model_names_are_refused)
{
    static const char *const paths[] = {
        "/v2/models/a%20b/infer", "/v2/models/a%0Ab", "/v1/models/%C3%A9", "/v1/models/a%2Fb",
        "/v1/models/a%5Cb",       "/v1/models/a%00",  "/v1/models/a%4",    "/v1/models/a\x7f"};
    struct arena a;
    struct kserve_path p;
    static char long_path[1024] = "/v1/models/";

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(paths); i++)
        CHECK_MSG(kserve_parse(str_of(paths[i]), &a, &p) == KSERVE_BAD_NAME, "%s", paths[i]);
    memset(long_path + 11, 'm', 600);
    CHECK_INT(kserve_parse(str_of(long_path), &a, &p), KSERVE_BAD_NAME);
    arena_deinit(&a);
}

TEST(another_model_takes_the_place_of_the_one_that_was_read)
{
    static const struct {
        const char *path, *model;
        const char *want; /* NULL: refused */
    } cases[] = {
        {"/v1/models/llama3:8b:predict", "own", "/v1/models/own:predict"},
        {"/v1/models/llama3:8b", "own", "/v1/models/own"},
        {"/v1/models/m:classify", "own", "/v1/models/own:classify"},
        {"/v1/models/m/versions/2:predict", "own", "/v1/models/own/versions/2:predict"},
        {"/v1/models/m:predict", "org/own", "/v1/models/org%2Fown:predict"},
        {"/v1/models/m:predict", "llama3:8b", "/v1/models/llama3:8b:predict"},
        {"/v1/models/m", "m:predict", "/v1/models/m%3Apredict"},
        {"/v1/models/m:predict", "m:explain", "/v1/models/m%3Aexplain:predict"},
        {"/v2/models/m%2B1/versions/7/infer", "a b%2F\xc3\xa9?#",
         "/v2/models/a%20b%252F%C3%A9%3F%23/versions/7/infer"},
        {"/v2/models/m:x/infer", "v1.5~b_c", "/v2/models/v1.5~b_c/infer"},
        {"/v2/repository/models/m/load", "own", "/v2/repository/models/own/load"},
        {"/v2/models/m/infer", "...", "/v2/models/.../infer"},
        {"/v2/models/m/infer", ".", NULL},
        {"/v2/models/m/infer", "..", NULL},
        {"/v2/models/m/infer", "", NULL},
    };
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct str path = str_of(cases[i].path);
        struct kserve_path p;
        struct str got = STR("");

        CHECK_INT(kserve_parse(path, &a, &p), 0);
        CHECK_INT(kserve_replace_model(path, &p, str_of(cases[i].model), &a, &got),
                  cases[i].want ? 0 : KSERVE_BAD_NAME);
        CHECK_STR(got, cases[i].want ? cases[i].want : "");
    }
    arena_deinit(&a);
}

TEST(the_protocol_is_known_by_any_of_its_paths)
{
    static const struct {
        const char *path;
        unsigned version;
    } cases[] = {
        {"/v1/models/m:predict", 1},
        {"/v1/models/m", 1},
        {"/v1/models/m/unheard/of", 1},
        {"/v1/models/a%2fb:predict", 1}, /* a name that is refused */
        {"/v1/models/", 0},
        {"/v1/models", 0},
        {"/v1/modelsm", 0},
        {"/v2/models/m/infer", 2},
        {"/v2/models/m/unheard/of", 2},
        {"/v2/models/", 0},
        {"/v2/health/live", 2},
        {"/v2/repository/models/m/load", 2},
        {"/v2/repository/index", 2},
        {"/v2/", 0},
        {"/v2", 2},
        {"/x/v2/models/m", 0},
        {"/v3/models/m", 0},
        {"*", 0},
        {"", 0},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(kserve_version(str_of(cases[i].path)) == cases[i].version, "%s", cases[i].path);
}
