/* What a served model is to the protocols: a name, a function for one row, a manner of speaking. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct model {
    const char *name;
    const char *platform;
    const char *datatype; /* of a prediction as a KServe V2 tensor */
    bool is_stand_in;     /* its answers say so */
    /* The prediction for one row; NULL with the reason in `error`. */
    json_t *(*predict)(const json_t *row, char *error, size_t error_size);
    json_t *(*explain)(const json_t *row, char *error, size_t error_size); /* may be NULL */
    /* What it says to a chat message; free it. */
    char *(*speak)(const char *message);
};

extern const struct model model_iris;
extern const struct model model_resnet; /* stand-in */
extern const struct model model_chat;   /* stand-in */
