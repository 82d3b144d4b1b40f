/* What the demo adds to the shipped manifests, written into a folder of its own: where the Services
 * are (loopback), a certificate and passwords made for this one run. */
#pragma once

/* Ports of the demo's services on 127.0.0.1. */
struct demo_ports {
    int jwt_server, iris, resnet, fallback, ext_auth, chat;
    int http, https, admin; /* of the gateway */
};

struct demo_ports demo_ports_at(int offset);
/* Writes overlay.yaml, ca.pem and passwords.txt into `folder`, readable by this user only. 0, or -1
 * after a line on standard error. */
int overlay_write(const char *folder, const struct demo_ports *ports);
