/* The users of an .htpasswd file: `name:hash`, one a line, comments by '#'. Immutable; refcounted,
 * because several rules and successive configurations share one. Source: htpasswd(1); RFC 7617. */
#pragma once

#include "auth/password.h"

struct htpasswd;

enum htpasswd_result {
    HTPASSWD_NO_USER = 1, /* not one line with a user */
    HTPASSWD_BAD_LINE,    /* no name, or no colon */
    HTPASSWD_USER_TWICE,
    HTPASSWD_BAD_HASH, /* see `hash_result` */
};

/* Where and why: everything but the hash itself. */
struct htpasswd_problem {
    unsigned line; /* from 1 */
    struct str user;
    int hash_result; /* enum password_result */
};

/* 0 or an htpasswd_result, then with the problem; its user borrows from the text. */
MUST_USE int htpasswd_new(struct str text, struct htpasswd **ret_users,
                          struct htpasswd_problem *ret_problem);
struct htpasswd *htpasswd_ref(struct htpasswd *h);
/* Any thread; NULL is nothing. */
void htpasswd_unref(struct htpasswd *h);
/* The hash of the user. Of a name that nobody has: false, and the hash of somebody, always the same
 * for the same name, so that refusing an unknown user can cost what refusing a known one costs. Any
 * thread; borrows. */
bool htpasswd_find(const struct htpasswd *h, struct str user, struct str *ret_hash);
size_t htpasswd_count(const struct htpasswd *h);
