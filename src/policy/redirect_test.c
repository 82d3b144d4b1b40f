/* Locations of redirects: the port rules of the Gateway API, paths, queries. */
#include "policy/redirect.h"

#include "test/harness/test.h"

TEST(redirect_locations)
{
    static const struct {
        struct redirect redirect;
        const char *scheme, *host, *path, *query;
        uint16_t listener_port;
        const char *location;
    } cases[] = {
        {{.hostname = STR("example.org")}, "http", "a.com", "/x", NULL, 80, "http://example.org/x"},
        {{.scheme = STR("https")}, "http", "a.com", "/x", "q=1", 80, "https://a.com/x?q=1"},
        {{.scheme = STR("https")}, "http", "a.com", "/x", "", 8080, "https://a.com/x?"},
        {{.port = 8083}, "http", "a.com", "/", NULL, 80, "http://a.com:8083/"},
        {{.port = 80}, "http", "a.com", "/", NULL, 8080, "http://a.com/"},
        {{.port = 443, .scheme = STR("https")}, "http", "a.com", "/", NULL, 80, "https://a.com/"},
        {{.port = 443}, "http", "a.com", "/", NULL, 80, "http://a.com:443/"},
        {{.hostname = STR("b.com")}, "http", "a.com", "/", NULL, 8080, "http://b.com:8080/"},
        {{.hostname = STR("b.com")}, "https", "a.com", "/", NULL, 443, "https://b.com/"},
        {{.scheme = STR("http")}, "https", "a.com", "/", NULL, 8443, "http://a.com/"},
        {{.path = {.kind = PATH_REWRITE_FULL, .value = STR("/full")}},
         "http",
         "a.com",
         "/p/x",
         "a=b",
         80,
         "http://a.com/full?a=b"},
        {{.path = {.kind = PATH_REWRITE_PREFIX, .value = STR("/q")}},
         "http",
         "a.com",
         "/p/x",
         NULL,
         80,
         "http://a.com/q/x"},
        {{.port = 81}, "http", "[::1]", "/", NULL, 80, "http://[::1]:81/"},
        {{.port = 81}, "http", "", "/x", NULL, 80, "/x"},
    };
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct http_request request = {
            .scheme = str_of(cases[i].scheme),
            .host = str_of(cases[i].host),
            .path = str_of(cases[i].path),
            .query = str_of(cases[i].query),
        };
        struct str location;

        CHECK_INT(redirect_location(&cases[i].redirect, &request, 2, cases[i].listener_port, &a,
                                    &location),
                  0);
        CHECK_STR(location, cases[i].location);
    }
    arena_deinit(&a);
}
