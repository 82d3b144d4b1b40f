/* One strict pass (RFC 8259, UTF-8 checked) over JSON text as it arrives in spans of any size: no
 * tree, no allocation. It reports the values whose paths stand in a table (json_paths.h); all else
 * is validated and skipped at the speed of memory. Verdict and hits are the same at every split of
 * the input. Pure; one scan belongs to one thread. */
#pragma once

#include "base/limits.h"
#include "llm/json/json_paths.h"

enum json_type {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

/* Conditions of json_scan_feed and json_scan_end. */
enum json_error {
    JSON_NOT_JSON = 1,
    JSON_TOO_DEEP,      /* more than LIMIT_JSON_DEPTH objects and arrays inside each other */
    JSON_BAD_UTF8,      /* in a string (RFC 3629: no surrogates, no overlong forms) */
    JSON_DUPLICATE_KEY, /* a key of the table's, met twice in one object: who reads it elsewhere
                           may take the other one */
    JSON_ESCAPED_KEY, /* a key of the table's, spelt with escapes; or a guarded one in other case */
    JSON_TRAILING,    /* more than white space behind the document */
    JSON_TRUNCATED,   /* the text ended inside the document, or before it */
};

#define JSON_TEXT_BYTES 512 /* of one value's text */

struct json_hit {
    unsigned path; /* index in the table */
    enum json_type type;
    uint64_t begin;     /* offsets in the whole input: of the value's first byte */
    uint64_t end;       /* and just behind its last. Objects and arrays are told at their end */
    uint64_t n_items;   /* elements of an array, members of an object */
    uint64_t n_bytes;   /* of a string's unescaped text, or of a number's spelling */
    struct str text;    /* with wants_text: the string unescaped, valid UTF-8 (U+FFFD for half a
                           surrogate pair); of any number: its spelling. Until the callback returns */
    bool is_cut;        /* text is only the beginning, whole characters */
    bool has_half_pair; /* the string escapes half a surrogate pair, which no UTF-8 can say */
    double number;      /* of a number, as strtod; +-INFINITY when out of range, or longer than
                           JSON_TEXT_BYTES */
    bool is_integer;    /* the number's value is whole: within int64_t when spelt in digits alone,
                           within +-2^53 with a fraction or exponent ("1e3") */
    int64_t integer;
};

/* Called inside json_scan_feed and json_scan_end, in the order in which values end. */
typedef void json_hit_fn(void *context, const struct json_hit *hit);

/* An open object or array on the way of a path. */
struct json_frame {
    uint64_t begin;
    uint64_t n_items;
    uint64_t seen; /* bit per json_node.ordinal */
    uint8_t node;
};

/* Worker-local, fixed size. All fields are json_scan.c's own. */
struct json_scan {
    const struct json_paths *paths;
    json_hit_fn *fn;
    void *context;
    const unsigned char *span; /* during a feed */
    uint64_t offset;           /* of its first byte in the whole input */
    uint64_t begin;            /* of the value under way */
    uint64_t n_bytes;          /* see json_hit */
    uint8_t error;             /* enum json_error, sticky */
    uint8_t state;
    uint8_t step;       /* within a number, literal or multi-byte character */
    uint8_t node;       /* of the value under way, JSON_NODE_NONE: not in the table */
    uint8_t keep;       /* what becomes of the string under way */
    uint8_t error_node; /* of a duplicate or escaped key */
    uint8_t utf8_low;   /* bounds of the character's next byte */
    uint8_t utf8_high;
    bool is_key; /* the string under way is a member's name */
    bool has_escape;
    bool has_half_pair;
    bool is_cut;
    bool has_begun;
    bool is_top_object;
    uint16_t code; /* of an escape under way */
    uint16_t high; /* first half of a surrogate pair */
    uint16_t text_len;
    uint16_t n_frames; /* of the outermost `depth` containers, those with a frame */
    unsigned depth;
    uint64_t is_object[(LIMIT_JSON_DEPTH + 63) / 64]; /* bit per level */
    struct json_frame frames[JSON_PATH_LEVELS + 1];
    char text[JSON_TEXT_BYTES + 8];
};

void json_scan_init(struct json_scan *s, const struct json_paths *paths, json_hit_fn *fn,
                    void *context);
/* 0 or enum json_error, which stays. */
MUST_USE int json_scan_feed(struct json_scan *s, struct str span);
/* The text ends here: 0, JSON_TRUNCATED or the error of before. */
MUST_USE int json_scan_end(struct json_scan *s);
/* The top-level value has ended (a number at the top level ends with the text only). */
bool json_scan_is_complete(const struct json_scan *s);
/* False when the text has begun with anything but '{' (white space aside). */
bool json_scan_may_be_object(const struct json_scan *s);
/* Of JSON_DUPLICATE_KEY and JSON_ESCAPED_KEY: the key's path, as the table spells it. */
struct str json_scan_error_path(const struct json_scan *s);
/* Bytes so far of the text of the table's string that the input has stopped in, and its row; 0 when
 * it stopped elsewhere: what a cut answer had already said. */
uint64_t json_scan_open_text(const struct json_scan *s, unsigned *ret_path);
/* Elements begun so far of the array at that row's path, while it is open; else 0. */
uint64_t json_scan_open_items(const struct json_scan *s, unsigned path);
