/* Where each AI endpoint's answers say what the meter wants to know: one table of JSON paths per
 * family of answers, for whole answers and for the frames of their streams alike. Static,
 * immutable. */
#pragma once

#include "llm/ai_endpoint.h"
#include "llm/json/json_paths.h"

/* The counts as providers spell them. */
enum answer_count {
    ANSWER_INPUT,
    ANSWER_OUTPUT,
    ANSWER_TOTAL,
    ANSWER_CACHED,        /* included in the input (OpenAI) */
    ANSWER_CACHE_READ,    /* not included (Anthropic) */
    ANSWER_CACHE_WRITTEN, /* included */
    ANSWER_CACHE_CREATED, /* not included */
    ANSWER_REASONING,     /* included in the output */
    ANSWER_ROWS,          /* of a prediction */
    ANSWER_COUNTS_,
};

/* What a value at a path means. */
enum answer_take {
    ANSWER_TAKE_COUNT,
    ANSWER_TAKE_USAGE,   /* the object that holds counts; null in chunks that have none */
    ANSWER_TAKE_CHOICES, /* the array that is empty in the chunk that only tells usage */
    ANSWER_TAKE_MODEL,
    ANSWER_TAKE_FINISH, /* a string: why the model stopped */
    ANSWER_TAKE_TEXT,   /* a string of content */
    ANSWER_TAKE_DELTA,  /* the same, unless the frame's type says that it is no text */
    ANSWER_TAKE_VALUE,  /* an object that the model wrote */
    ANSWER_TAKE_FILLER, /* a string that differs from frame to frame and says nothing */
    ANSWER_TAKE_NUMBER, /* such a number */
    ANSWER_TAKE_MEDIA,  /* a string of content that is no text: a picture, a recording */
    ANSWER_TAKE_ERROR,  /* anything but null and false: the answer is an error */
    ANSWER_TAKE_TYPE,   /* what the frame or object is */
    ANSWER_TAKE_ROWS,   /* an array whose elements are rows */
    ANSWER_TAKE_SHAPE,  /* a tensor's shape */
    ANSWER_TAKE_LENGTH, /* and its elements, the first of which is the number of rows */
};

struct answer_path {
    enum answer_take take;
    enum answer_count count; /* with ANSWER_TAKE_COUNT */
};

struct answer_paths {
    const struct json_paths *paths;
    const struct answer_path *rows; /* as the rows of `paths` */
};

/* NULL: the answers of this endpoint say nothing about usage (lists of models). */
const struct answer_paths *answer_paths_of(enum ai_endpoint endpoint);
/* What the model makes there is text, so that bytes of an answer that cannot be read stand for
 * tokens. */
bool answer_is_text(enum ai_endpoint endpoint);
