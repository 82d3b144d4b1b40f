/* demo-models: serves one model, told by --role: sklearn-iris, pytorch-resnet or chat.
 *
 * Each role speaks KServe V1 and V2 and OpenAI's chat completions; /health answers 200. A path that
 * none of them knows is 404. Nothing is kept between calls. */
#include <stdio.h>
#include <string.h>

#include "demo/args.h"
#include "demo/chat.h"
#include "demo/kserve.h"
#include "demo/service.h"

static const char *listen_at = "127.0.0.1:18081";
static const char *role = "sklearn-iris";

static void answer(struct service_call *call, void *state)
{
    const struct model *model = *(const struct model *const *)state;

    if (strcmp(call->path, "/health") == 0) {
        service_reply_json(call, 200, json_pack("{s:s, s:s}", "status", "ok", "role", model->name));
        return;
    }
    chat_answer(call, model);
    if (!call->is_answered)
        kserve_answer(call, model);
}

static const struct model *find_model(const char *name)
{
    const struct model *const models[] = {&model_iris, &model_resnet, &model_chat};

    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strcmp(models[i]->name, name) == 0)
            return models[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct arg args[] = {{"listen", &listen_at, "address and port"},
                               {"role", &role, "sklearn-iris, pytorch-resnet or chat"},
                               {0}};
    const struct model *model;
    int fd;

    args_parse(argc, argv, args);
    model = find_model(role);
    if (!model) {
        (void)fprintf(stderr, "demo-models: unknown role \"%s\"\n", role);
        return 2;
    }
    fd = service_open("demo-models", listen_at);
    if (fd < 0)
        return 1;
    service_run(fd, answer, &model);
}
