/* The calls that show what the gateway does: printed as curl lines, or made and judged. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "demo/overlay.h"

#define PLAYS_TENANTS 3

struct plays {
    struct demo_ports ports;
    const char *folder;          /* of ca.pem and the token files */
    char *tokens[PLAYS_TENANTS]; /* of tenant-a, tenant-b, tenant-c */
};

/* Gets the tokens from the issuer and writes tenant-a.token, ... into the folder. 0 or -1, said. */
int plays_fetch_tokens(struct plays *p);
void plays_deinit(struct plays *p);
/* Whether an authorized prediction is answered through the gateway. If not, and `complaints` is not
 * NULL, a line there says what came instead. */
bool plays_try_first(const struct plays *p, FILE *complaints);
void plays_print(const struct plays *p);
/* Makes every call and prints it with its answer; the number of wrong ones. */
int plays_run(const struct plays *p);
