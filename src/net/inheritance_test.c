/* Sockets that were left: by their address, each once, and none that does not listen. */
#include "net/inheritance.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include "test/harness/test.h"

/* A socket that listens at a free port of loopback, and its address. */
static int open_listener(struct socket_address *ret_address)
{
    int fd;

    CHECK(socket_address_parse_ip(STR("127.0.0.1"), 0, ret_address) == 0);
    CHECK(socket_listen(ret_address, &fd) == 0);
    ret_address->len = sizeof ret_address->address;
    CHECK(getsockname(fd, (struct sockaddr *)&ret_address->address, &ret_address->len) == 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

TEST(a_socket_goes_once_to_who_asks_for_its_address)
{
    struct inheritance h = {0};
    struct socket_address one, other;
    int first = open_listener(&one);
    int second;
    int stranger = open_listener(&other);

    CHECK(socket_listen(&one, &second) == 0); /* of another worker, at the same address */
    CHECK(inheritance_add(&h, first) == 0 && inheritance_add(&h, second) == 0);
    CHECK(inheritance_add(&h, stranger) == 0);
    CHECK_INT(inheritance_take(&h, &one), first);
    CHECK_INT(inheritance_take(&h, &one), second);
    CHECK_INT(inheritance_take(&h, &one), -1);
    CHECK_INT(inheritance_take(NULL, &one), -1);
    inheritance_deinit(&h);
    inheritance_deinit(&h);
    CHECK(is_open(first) && is_open(second) && !is_open(stranger));
    close(first);
    close(second);
}

TEST(addresses_differ_by_family_address_and_port)
{
    static const char *const texts[] = {"127.0.0.1:80", "127.0.0.2:80", "127.0.0.1:81",
                                        "[::1]:80",     "[::2]:80",     "[::1]:81"};
    struct socket_address a, b;

    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        for (size_t k = 0; k < N_ELEMENTS(texts); k++) {
            CHECK(socket_address_parse(str_of(texts[i]), &a) == 0);
            CHECK(socket_address_parse(str_of(texts[k]), &b) == 0);
            CHECK_MSG(socket_address_is_same(&a, &b) == (i == k), "%s %s", texts[i], texts[k]);
        }
    }
}

TEST(what_is_no_tcp_socket_that_listens_is_refused_and_closed)
{
    struct inheritance h = {0};
    int fds[4];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    fds[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[3] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < N_ELEMENTS(fds); i++) {
        CHECK_INT(inheritance_add(&h, fds[i]), INHERITANCE_BAD);
        CHECK(!is_open(fds[i]));
    }
    CHECK_INT(h.n, 0);
}
