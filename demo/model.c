/* The demo's three models: the iris classifier, which is real, and two stand-ins, which say so in
 * every answer.
 *
 * Pure; any thread. */
#include "demo/model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo/iris.h"

#define STAND_IN "This is a stand-in of the demo, not a trained model."

static char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *format_text(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    return text;
}

static bool read_flower(const json_t *row, double *ret_features, char *error, size_t error_size)
{
    bool is_right = json_array_size(row) == IRIS_FEATURES;

    for (size_t i = 0; is_right && i < IRIS_FEATURES; i++) {
        ret_features[i] = json_number_value(json_array_get(row, i));
        is_right = json_is_number(json_array_get(row, i)) && fabs(ret_features[i]) <= 1e6;
    }
    if (!is_right)
        (void)snprintf(error, error_size, "a flower is a list of %d numbers: %s, %s, %s, %s",
                       IRIS_FEATURES, iris_feature_names[0], iris_feature_names[1],
                       iris_feature_names[2], iris_feature_names[3]);
    return is_right;
}

static json_t *iris_predict(const json_t *row, char *error, size_t error_size)
{
    double features[IRIS_FEATURES];
    double probability[IRIS_SPECIES];

    if (!read_flower(row, features, error, error_size))
        return NULL;
    return json_integer(iris_classify(features, probability));
}

static json_t *iris_explain(const json_t *row, char *error, size_t error_size)
{
    double features[IRIS_FEATURES];
    double probability[IRIS_SPECIES];
    json_t *parts;
    int species;

    if (!read_flower(row, features, error, error_size))
        return NULL;
    species = iris_classify(features, probability);
    parts = json_object();
    for (int i = 0; i < IRIS_FEATURES; i++)
        (void)json_object_set_new(parts, iris_feature_names[i],
                                  json_real(iris_contribution(species, i, features[i])));
    return json_pack("{s:i, s:s, s:f, s:o}", "prediction", species, "species",
                     iris_species_names[species], "probability", probability[species],
                     "contributions", parts);
}

/* Answers to the first four numbers of a message. */
static char *iris_speak(const char *message)
{
    double features[IRIS_FEATURES];
    double probability[IRIS_SPECIES];
    int n = 0;
    int species;

    while (n < IRIS_FEATURES && *message != '\0') {
        char *end;

        features[n] = strtod(message, &end);
        if (end == message || !(fabs(features[n]) <= 1e6)) {
            message++;
            continue;
        }
        message = end;
        n++;
    }
    if (n < IRIS_FEATURES)
        return format_text("Give me four numbers in centimetres: sepal length, sepal width, petal "
                           "length, petal width. For example: 5.1 3.5 1.4 0.2");
    species = iris_classify(features, probability);
    return format_text("This is an iris %s, with a probability of %.2f.",
                       iris_species_names[species], probability[species]);
}

const struct model model_iris = {.name = "sklearn-iris",
                                 .platform = "sklearn",
                                 .datatype = "INT64",
                                 .predict = iris_predict,
                                 .explain = iris_explain,
                                 .speak = iris_speak};

/* The same row always gets the same label; nothing more is promised. */
static json_t *resnet_predict(const json_t *row, char *error, size_t error_size)
{
    static const char *const labels[] = {"tabby cat", "golden retriever", "goldfish", "daisy",
                                         "espresso",  "bicycle",          "umbrella", "lighthouse"};
    char *text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    unsigned long hash = 5381;

    (void)error;
    (void)error_size;
    for (const char *p = text; p && *p != '\0'; p++)
        hash = hash * 33 + (unsigned char)*p;
    free(text);
    return json_string(labels[hash % (sizeof(labels) / sizeof(labels[0]))]);
}

static char *stand_in_speak(const char *message)
{
    return format_text(STAND_IN " You said: %.400s", message);
}

const struct model model_resnet = {.name = "pytorch-resnet",
                                   .platform = "pytorch",
                                   .datatype = "BYTES",
                                   .is_stand_in = true,
                                   .predict = resnet_predict,
                                   .speak = stand_in_speak};

static json_t *chat_predict(const json_t *row, char *error, size_t error_size)
{
    char *said;
    json_t *json;

    if (!json_is_string(row)) {
        (void)snprintf(error, error_size, "a row is a text");
        return NULL;
    }
    said = stand_in_speak(json_string_value(row));
    /* Cut inside a character of several bytes, it is no text any more. */
    json = json_string(said);
    free(said);
    return json ? json : json_string(STAND_IN);
}

const struct model model_chat = {.name = "chat",
                                 .platform = "stand-in",
                                 .datatype = "BYTES",
                                 .is_stand_in = true,
                                 .predict = chat_predict,
                                 .speak = stand_in_speak};
