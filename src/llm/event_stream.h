/* text/event-stream (WHATWG HTML 9.2.5, 9.2.6) as it arrives, in spans of any size: frames with
 * their name, their data and the place of their bytes in the stream. Holds no data: what is of a
 * frame that is not yet whole is told in pieces. Pure; one stream belongs to one thread. */
#pragma once

#include "base/str.h"

#define EVENT_NAME_BYTES 40 /* kept of an event's name; a longer one is cut */

enum event_step {
    EVENT_STREAM_MORE,  /* the input is used up */
    EVENT_STREAM_DATA,  /* `data` is a further piece of the data of the frame under way */
    EVENT_STREAM_FRAME, /* the frame has ended; `data` is what no piece has told */
};

/* A frame: the lines up to a blank one, and that one. */
struct event {
    struct str name;     /* of its last `event` line; empty when there is none */
    struct str data;     /* borrows from the input; lines are joined by LF */
    uint64_t begin;      /* offset in the stream of the frame's first byte */
    uint64_t end;        /* and just behind the blank line */
    uint64_t data_begin; /* of the first byte of the first data line's value */
    uint64_t n_data;     /* bytes of its data, without those behind LIMIT_EVENT_BYTES */
    bool has_data;       /* at least one `data` line, be it empty */
    bool is_whole;       /* `data` is all of it: nothing was told in pieces */
    bool is_one_line;    /* one data line: data byte k stands at data_begin + k */
    bool is_cut;         /* data behind LIMIT_EVENT_BYTES was not told */
    bool has_unknown;    /* lines of a field that no event stream has */
    bool is_unfinished;  /* the stream ended before the blank line */
};

/* Zeroed memory is a stream before its first byte. All fields are event_stream.c's own. */
struct event_stream {
    uint64_t offset;     /* of the next byte */
    uint64_t begin;      /* of the frame under way */
    uint64_t data_begin; /* as in struct event */
    uint64_t n_data;
    uint8_t line;     /* what the line under way is */
    uint8_t n_bom;    /* bytes of a byte order mark at the very start; 3: past that */
    uint8_t n_field;  /* bytes of `field` */
    uint8_t name_len; /* bytes of `name` */
    bool has_cr;      /* the last line ended with CR: an LF now belongs to it */
    bool is_over;     /* the blank line has been read */
    bool has_data;
    bool has_lines; /* more than one data line */
    bool owes_joint;
    bool is_pieced;
    bool is_cut;
    bool has_unknown;
    char field[6]; /* the line's field name, while it may still be one that matters */
    char name[EVENT_NAME_BYTES];
};

/* Reads on in *input, which moves. With EVENT_STREAM_FRAME and EVENT_STREAM_DATA *ret_event is
 * valid until the next call, of a DATA only its field `data`. A frame that ends with a lone CR is
 * told with the byte behind it, since an LF there would be part of it. */
MUST_USE enum event_step event_stream_next(struct event_stream *s, struct str *input,
                                           struct event *ret_event);
/* The stream ends here: EVENT_STREAM_FRAME once when a frame is under way, else EVENT_STREAM_MORE.
 * WHATWG drops such a frame; whether it counts is for the caller. */
MUST_USE enum event_step event_stream_end(struct event_stream *s, struct event *ret_event);
