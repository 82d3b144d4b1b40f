/* What one side of an HTTP/2 connection of the gateway puts out, read frame by frame: that each is
 * valid where it stands is asserted (RFC 9113 4 to 6, 8), and what became of each stream is kept.
 * Its reading is none of the gateway's own, but for the compression of heads. */
#pragma once

#include "base/buf.h"
#include "test/fuzz/exchange/world.h"

enum { FRAMES_STREAMS = 64 /* of one connection that are looked at */ };

struct nghttp2_hd_inflater;

/* The message of one stream. */
struct frames_message {
    uint32_t stream;
    unsigned status;         /* of an answer that is final; 0: none has come */
    bool has_head;           /* the final one */
    bool is_ended;           /* in good order */
    bool is_reset;           /* or not */
    int64_t content_length;  /* as announced; negative: it is not */
    unsigned grpc_status;    /* in head or trailers; 0: fine, or none */
    uint64_t n_bytes;        /* of content */
    char id[WORLD_ID_BYTES]; /* of a request its x-id, of an answer its x-echo; "": none */
};

struct frames {
    struct nghttp2_hd_inflater *inflater;
    bool is_of_requests;
    bool has_settings;
    bool has_goaway;
    bool is_block_last;     /* the head that comes ends its message */
    uint32_t goaway_code;   /* the last one's */
    uint32_t goaway_stream; /* its last stream */
    uint32_t block_stream;  /* whose head is to be continued; 0: none's */
    struct buf block;
    struct frames_message messages[FRAMES_STREAMS];
    unsigned n_messages;
};

void frames_init(struct frames *f, bool is_of_requests);
void frames_deinit(struct frames *f);
/* Takes the whole frames off the front of `input`. */
void frames_read(struct frames *f, struct str *input);
/* NULL: nothing came on it, or on more streams than are looked at. */
struct frames_message *frames_find(struct frames *f, uint32_t stream);

/* Writing: one frame; a field that no table remembers (RFC 7541 6.2.2), shorter than 127 bytes. */
void frames_append(struct buf *out, unsigned type, unsigned flags, uint32_t stream,
                   struct str payload);
void frames_append_field(struct buf *block, struct str name, struct str value);

/* Types and flags (RFC 9113 6). */
enum {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW_UPDATE = 8,
    FRAME_CONTINUATION = 9,
    FRAME_END_STREAM = 1,
    FRAME_ACK = 1,
    FRAME_END_HEADERS = 4,
    FRAME_HEAD_BYTES = 9,
};
