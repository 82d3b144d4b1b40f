/* OpenAI's chat completions, for one model. */
#pragma once

#include "demo/model.h"
#include "demo/service.h"

/* Answers POST /v1/chat/completions and GET /v1/models; leaves any other call unanswered. */
void chat_answer(struct service_call *call, const struct model *model);
