/* What the files of the HTTP/2 codec share; for h2*.c only. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "http/h2.h"

/* What a client that means no harm does seldom. */
enum h2_glitch {
    H2_GLITCH_RESET,   /* of a stream whose answer had not begun */
    H2_GLITCH_CANCEL,  /* of one whose answer was under way, or over: people do leave */
    H2_GLITCH_INVALID, /* a frame or header that is malformed: it makes us reset */
    H2_GLITCH_LARGE,   /* a head beyond its bound: some bytes can name much of it (HPACK) */
    H2_GLITCH_EMPTY,   /* a frame that carries nothing */
    H2_GLITCH_CONTROL, /* SETTINGS, PRIORITY, GOAWAY, a PING's answer that nobody asked for */
    H2_GLITCH_PACE, /* PING, WINDOW_UPDATE of a few bytes: where content moves they belong to it */
};

/* Counts it. False: it is one too many, and the connection ends. */
bool h2_note(struct h2 *h, enum h2_glitch glitch);

/* h2_head.c: a head or trailer section, field by field. */
void h2_head_begin(struct h2_stream *s);
void h2_head_field(struct h2_stream *s, struct str name, struct str value);
/* The head is complete: *s->request or *s->response, or s->error. */
void h2_head_end(struct h2_stream *s, bool is_last);
void h2_trailer_field(struct h2_stream *s, struct str name, struct str value);

/* Messages to fields: memory for them is taken from the arena. */
size_t h2_fields_of_request(const struct http_request *request, struct arena *arena,
                            nghttp2_nv **ret_fields);
size_t h2_fields_of_response(const struct http_response *response, struct arena *arena,
                             nghttp2_nv **ret_fields);
size_t h2_fields_of_trailers(const struct http_headers *trailers, struct arena *arena,
                             nghttp2_nv **ret_fields);
