/* KServe's inference protocols, V1 and V2 (Open Inference Protocol), for one model. */
#pragma once

#include "demo/model.h"
#include "demo/service.h"

/* Answers a path of KServe; leaves any other call unanswered. */
void kserve_answer(struct service_call *call, const struct model *model);
