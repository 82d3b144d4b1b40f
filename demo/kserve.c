/* KServe V1 (/v1/models/NAME, :predict, :explain) and V2 (/v2, /v2/health, /v2/models/NAME, /ready,
 * /infer, the latter three also below /versions/1).
 *
 * Rows go to the model one by one; a row that it refuses makes the whole answer 400. Nothing is
 * kept between calls. Thread: the connection's. */
#include "demo/kserve.h"

#include <stdio.h>
#include <string.h>

#include "demo/iris.h"

#define VERSION "1"

static bool is_get(const struct service_call *call)
{
    return strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0;
}

static json_t *label(const struct model *model, json_t *json)
{
    if (model->is_stand_in)
        (void)json_object_set_new(json, "stand_in", json_true());
    return json;
}

typedef json_t *row_fn(const json_t *row, char *error, size_t error_size);

/* One result per row; NULL with the reason, which names the row, in `error`. */
static json_t *run_rows(row_fn *run, const json_t *rows, char *error, size_t error_size)
{
    json_t *results = json_array();

    for (size_t i = 0; i < json_array_size(rows); i++) {
        char why[256] = "";
        json_t *result = run(json_array_get(rows, i), why, sizeof(why));

        if (!result) {
            (void)snprintf(error, error_size, "row %zu: %s", i, why);
            json_decref(results);
            return NULL;
        }
        (void)json_array_append_new(results, result);
    }
    return results;
}

static json_t *species_of(const json_t *predictions)
{
    json_t *species = json_array();

    for (size_t i = 0; i < json_array_size(predictions); i++) {
        json_int_t k = json_integer_value(json_array_get(predictions, i));

        (void)json_array_append_new(species, json_string(iris_species_names[k]));
    }
    return species;
}

static void answer_v1_rows(struct service_call *call, const struct model *model, bool is_explain)
{
    json_t *request = json_loadb(call->body, call->body_len, JSON_REJECT_DUPLICATES, NULL);
    json_t *rows = json_object_get(request, "instances");
    char error[512];
    json_t *results;

    if (!json_is_array(rows) || json_array_size(rows) == 0) {
        service_reply_error(call, 400,
                            "The body must be a JSON object with a list \"instances\" that is not "
                            "empty.");
    } else if (is_explain && !model->explain) {
        service_reply_error(call, 404, "The model %s has no explainer.", model->name);
    } else if (!(results = run_rows(is_explain ? model->explain : model->predict, rows, error,
                                    sizeof(error)))) {
        service_reply_error(call, 400, "instances: %s", error);
    } else {
        json_t *answer = json_pack("{s:o}", is_explain ? "explanations" : "predictions", results);

        if (model == &model_iris && !is_explain)
            (void)json_object_set_new(answer, "species", species_of(results));
        service_reply_json(call, 200, label(model, answer));
    }
    json_decref(request);
}

static void answer_v1(struct service_call *call, const struct model *model, const char *verb)
{
    bool is_explain = strcmp(verb, ":explain") == 0;

    if (verb[0] == '\0' && !is_get(call))
        service_reply_method(call, "GET, HEAD");
    else if (verb[0] == '\0')
        service_reply_json(call, 200,
                           label(model, json_pack("{s:s, s:b}", "name", model->name, "ready", 1)));
    else if (!is_explain && strcmp(verb, ":predict") != 0)
        return;
    else if (strcmp(call->method, "POST") != 0)
        service_reply_method(call, "POST");
    else
        answer_v1_rows(call, model, is_explain);
}

static void flatten(const json_t *data, json_t *ret_values)
{
    json_t *value;
    size_t i;

    json_array_foreach(data, i, value)
    {
        if (json_is_array(value))
            flatten(value, ret_values);
        else
            (void)json_array_append(ret_values, value);
    }
}

/* The first number of rows and the number of values in each; false where the shape does not fit. */
static bool read_shape(const json_t *shape, size_t n_values, size_t *ret_rows, size_t *ret_width)
{
    json_t *size;
    size_t total = 1;
    size_t i;

    json_array_foreach(shape, i, size)
    {
        json_int_t n = json_integer_value(size);

        if (n <= 0 || (size_t)n > n_values || total > n_values)
            return false;
        total *= (size_t)n;
    }
    *ret_rows = (size_t)json_integer_value(json_array_get(shape, 0));
    *ret_width = *ret_rows > 0 ? total / *ret_rows : 0;
    return json_array_size(shape) > 0 && total == n_values;
}

/* The rows of the one input tensor; NULL with the reason in `error`. A tensor of one dimension
 * holds one value per row. */
static json_t *read_tensor(const json_t *request, char *error, size_t error_size)
{
    const json_t *inputs = json_object_get(request, "inputs");
    const json_t *input = json_array_get(inputs, 0);
    const json_t *shape = json_object_get(input, "shape");
    const json_t *data = json_object_get(input, "data");
    json_t *values = json_array();
    json_t *rows = json_array();
    size_t n_rows, width;

    flatten(data, values);
    if (json_array_size(inputs) != 1 || !json_is_string(json_object_get(input, "name")) ||
        !json_is_string(json_object_get(input, "datatype")) || !json_is_array(data)) {
        (void)snprintf(error, error_size,
                       "the body must be a JSON object with one input of name, shape, datatype and "
                       "data");
    } else if (!read_shape(shape, json_array_size(values), &n_rows, &width)) {
        (void)snprintf(error, error_size, "inputs[0]: shape and data do not agree");
    } else {
        for (size_t i = 0; i < n_rows; i++) {
            json_t *row = json_array();

            for (size_t k = 0; k < width; k++)
                (void)json_array_append(row, json_array_get(values, i * width + k));
            if (json_array_size(shape) == 1)
                (void)json_array_append(rows, json_array_get(row, 0));
            else
                (void)json_array_append(rows, row);
            json_decref(row);
        }
        json_decref(values);
        return rows;
    }
    json_decref(values);
    json_decref(rows);
    return NULL;
}

static void answer_infer(struct service_call *call, const struct model *model)
{
    json_t *request = json_loadb(call->body, call->body_len, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(json_object_get(request, "id"));
    char error[512];
    json_t *rows = read_tensor(request, error, sizeof(error));
    json_t *results = rows ? run_rows(model->predict, rows, error, sizeof(error)) : NULL;

    if (!results) {
        service_reply_error(call, 400, "%s", error);
    } else {
        json_t *answer = json_pack("{s:s, s:s, s:s*, s:[{s:s, s:[I], s:s, s:o}]}", "model_name",
                                   model->name, "model_version", VERSION, "id", id, "outputs",
                                   "name", "predict", "shape", (json_int_t)json_array_size(results),
                                   "datatype", model->datatype, "data", results);

        if (model->is_stand_in)
            (void)json_object_set_new(answer, "parameters", json_pack("{s:b}", "stand_in", 1));
        service_reply_json(call, 200, answer);
    }
    json_decref(rows);
    json_decref(request);
}

static json_t *format_metadata(const struct model *model)
{
    json_t *input =
        model == &model_iris
            ? json_pack("{s:s, s:s, s:[ii]}", "name", "input-0", "datatype", "FP64", "shape", -1, 4)
            : json_pack("{s:s, s:s, s:[i]}", "name", "input-0", "datatype", "BYTES", "shape", -1);

    return label(model,
                 json_pack("{s:s, s:[s], s:s, s:[o], s:[{s:s, s:s, s:[i]}]}", "name", model->name,
                           "versions", VERSION, "platform", model->platform, "inputs", input,
                           "outputs", "name", "predict", "datatype", model->datatype, "shape", -1));
}

static void answer_v2(struct service_call *call, const struct model *model, const char *rest)
{
    static const char versions[] = "/versions/" VERSION;
    size_t n = sizeof(versions) - 1;

    if (strncmp(rest, versions, n) == 0 && (rest[n] == '\0' || rest[n] == '/'))
        rest += n;
    if (strcmp(rest, "/infer") == 0) {
        if (strcmp(call->method, "POST") != 0)
            service_reply_method(call, "POST");
        else
            answer_infer(call, model);
    } else if (rest[0] != '\0' && strcmp(rest, "/ready") != 0) {
        return;
    } else if (!is_get(call)) {
        service_reply_method(call, "GET, HEAD");
    } else if (rest[0] == '\0') {
        service_reply_json(call, 200, format_metadata(model));
    } else {
        service_reply_json(call, 200, json_pack("{s:s, s:b}", "name", model->name, "ready", 1));
    }
}

/* What follows "PREFIX NAME" in the path, or NULL. */
static const char *path_after(const char *path, const char *prefix, const char *name)
{
    size_t n = strlen(prefix);

    if (strncmp(path, prefix, n) != 0 || strncmp(path + n, name, strlen(name)) != 0)
        return NULL;
    return path + n + strlen(name);
}

void kserve_answer(struct service_call *call, const struct model *model)
{
    const char *v1 = path_after(call->path, "/v1/models/", model->name);
    const char *v2 = path_after(call->path, "/v2/models/", model->name);

    if (v1 && (*v1 == '\0' || *v1 == ':'))
        answer_v1(call, model, v1);
    else if (v2 && (*v2 == '\0' || *v2 == '/'))
        answer_v2(call, model, v2);
    else if (strcmp(call->path, "/v2") == 0 && is_get(call))
        service_reply_json(call, 200,
                           json_pack("{s:s, s:s, s:[]}", "name", "tollgate-demo", "version",
                                     VERSION, "extensions"));
    else if (strcmp(call->path, "/v2/health/live") == 0 && is_get(call))
        service_reply_json(call, 200, json_pack("{s:b}", "live", 1));
    else if (strcmp(call->path, "/v2/health/ready") == 0 && is_get(call))
        service_reply_json(call, 200, json_pack("{s:b}", "ready", 1));
}
