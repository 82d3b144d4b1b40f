/* The models that the demo adds to the shipped manifests: demo-chat and, with a budget
 * for each tenant that a few calls use up, demo-small. */
#pragma once

#include <stdio.h>

#define AI_OVERLAY_CHAT_HOST    "chat-predictor-default.tenant-b.svc.cluster.local"
#define AI_OVERLAY_SMALL_TOKENS 100 /* a minute, in and out together */

void ai_overlay_write(FILE *out);
