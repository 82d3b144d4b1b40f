/* The handshake of WebSocket where one side speaks HTTP/2 and has none (RFC 8441 5): towards a
 * backend of HTTP/1 the gateway is the client of RFC 6455, with a key of its own and the check of
 * what is made of it. Pure. */
#pragma once

#include "http/message.h"

/* Gives the request a fresh Sec-WebSocket-Key, in the arena of its headers. */
void websocket_ask(struct http_request *request);
/* The answer agrees (101), or is an answer that cannot be taken for a yes. */
bool websocket_is_sound(const struct http_request *request, const struct http_response *response);
