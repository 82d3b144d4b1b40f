/* The handshake of WebSocket where one side speaks HTTP/2 and has none (RFC 8441 5): towards a
 * backend of HTTP/1 the gateway is the client of RFC 6455, with a key of its own and the check of
 * what is made of it; towards a client of HTTP/1 it is the server. Pure. */
#pragma once

#include "http/message.h"

/* Gives the request a fresh Sec-WebSocket-Key, in the arena of its headers. */
void websocket_ask(struct http_request *request);
/* Writes into the answer (101) what the client's key makes it. False: the client sent none. */
bool websocket_agree(const struct http_request *request, struct http_response *response);
/* The answer agrees (101), or is an answer that cannot be taken for a yes. */
bool websocket_is_sound(const struct http_request *request, const struct http_response *response);
