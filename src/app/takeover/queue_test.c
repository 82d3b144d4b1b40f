/* Messages of the giver: records of many threads put together, whatever the socket takes at once.
 */
#include "app/takeover/queue.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/loop.h"
#include "test/harness/test.h"

static struct takeover_queue queue;
static struct loop loop;
static struct wake news;
static int ends[2];

static void on_news(struct wake *w UNUSED)
{
}

static void open_queue(void)
{
    CHECK(loop_init(&loop) == 0);
    wake_init(&news, &loop, on_news);
    takeover_queue_init(&queue, &news);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
}

static void close_queue(void)
{
    takeover_queue_deinit(&queue);
    takeover_queue_deinit(&queue);
    close(ends[0]);
    close(ends[1]);
    loop_deinit(&loop);
}

static void tell(const char *name, uint32_t session, struct str record)
{
    queue.sink.tell(&queue.sink, name, session, record);
}

/* The next message, or one of kind 0: none. */
static struct wire_message hear(char room[static LIMIT_TAKEOVER_MESSAGE_BYTES])
{
    struct wire_message m = {0};
    ssize_t n = recv(ends[1], room, LIMIT_TAKEOVER_MESSAGE_BYTES, MSG_TRUNC);

    if (n > 0) {
        CHECK(n <= LIMIT_TAKEOVER_MESSAGE_BYTES);
        CHECK(wire_parse(str_make(room, (size_t)n), &m) == 0);
    }
    return m;
}

static size_t count_records(struct str content, struct str name)
{
    struct wire_reader r = {.rest = content};
    size_t n = 0;

    while (r.rest.len > 0) {
        CHECK(str_eq(wire_get_text(&r), name));
        wire_get_text(&r);
        CHECK(!r.is_bad);
        n++;
    }
    return n;
}

static char room[LIMIT_TAKEOVER_MESSAGE_BYTES];

TEST(messages_keep_their_order_and_records_between_them_go_together)
{
    struct wire_message m;

    open_queue();
    takeover_queue_open(&queue, 1);
    takeover_queue_push(&queue, WIRE_WELCOME, STR("who"), -1);
    tell("limits", 1, STR("one"));
    tell("limits", 1, STR("two"));
    takeover_queue_push(&queue, WIRE_STATE_END, STR(""), -1);
    tell("limits", 1, STR("three"));
    CHECK(takeover_queue_send(&queue, ends[0]) == 0);
    m = hear(room);
    CHECK(m.kind == WIRE_WELCOME && str_eq(m.content, STR("who")));
    m = hear(room);
    CHECK(m.kind == WIRE_RECORDS);
    CHECK_INT(count_records(m.content, STR("limits")), 2);
    CHECK(hear(room).kind == WIRE_STATE_END);
    m = hear(room);
    CHECK(m.kind == WIRE_RECORDS);
    CHECK_INT(count_records(m.content, STR("limits")), 1);
    CHECK(hear(room).kind == 0);
    close_queue();
}

TEST(records_of_another_session_are_dropped_with_what_was_left_of_it)
{
    struct wire_message m;

    open_queue();
    takeover_queue_open(&queue, 1);
    tell("limits", 1, STR("failed"));
    takeover_queue_open(&queue, 2);
    tell("limits", 1, STR("late"));
    tell("limits", 2, STR("good"));
    CHECK(takeover_queue_send(&queue, ends[0]) == 0);
    m = hear(room);
    CHECK_INT(count_records(m.content, STR("limits")), 1);
    CHECK(memmem(m.content.ptr, m.content.len, "good", 4) != NULL);
    takeover_queue_open(&queue, 0);
    tell("limits", 2, STR("late"));
    CHECK(takeover_queue_send(&queue, ends[0]) == 0);
    CHECK(hear(room).kind == 0);
    close_queue();
}

TEST(a_record_that_fits_into_no_message_is_left_out_and_counted)
{
    char *large = mem_alloc_zero(LIMIT_TAKEOVER_MESSAGE_BYTES);
    size_t largest = LIMIT_TAKEOVER_MESSAGE_BYTES - WIRE_HEAD_BYTES - 4 - 4 - strlen("limits");

    open_queue();
    takeover_queue_open(&queue, 1);
    tell("limits", 1, str_make(large, largest + 1));
    CHECK_INT(queue.n_left_out, 1);
    tell("limits", 1, STR("small"));
    tell("limits", 1, str_make(large, largest));
    CHECK(takeover_queue_send(&queue, ends[0]) == 0);
    CHECK_INT(count_records(hear(room).content, STR("limits")), 1);
    CHECK_INT(count_records(hear(room).content, STR("limits")), 1);
    CHECK_INT(queue.n_left_out, 1);
    mem_free(large);
    close_queue();
}

enum { TELLERS = 4, TOLD_EACH = 20000 };

static void *tell_much(void *arg UNUSED)
{
    for (int i = 0; i < TOLD_EACH; i++)
        tell("limits", 1, STR("a record of some forty bytes, as they are"));
    return NULL;
}

TEST(nothing_is_lost_when_many_threads_tell_more_than_the_socket_holds)
{
    pthread_t tellers[TELLERS];
    size_t n_heard = 0;

    open_queue();
    takeover_queue_open(&queue, 1);
    for (int i = 0; i < TELLERS; i++)
        CHECK(pthread_create(&tellers[i], NULL, tell_much, NULL) == 0);
    while (n_heard < (size_t)TELLERS * TOLD_EACH) {
        int r = takeover_queue_send(&queue, ends[0]);

        CHECK(r == 0 || r == QUEUE_FULL);
        for (struct wire_message m = hear(room); m.kind; m = hear(room))
            n_heard += count_records(m.content, STR("limits"));
    }
    for (int i = 0; i < TELLERS; i++)
        pthread_join(tellers[i], NULL);
    CHECK(takeover_queue_send(&queue, ends[0]) == 0);
    CHECK(hear(room).kind == 0);
    close_queue();
}

TEST(a_full_socket_is_told_and_an_end_that_is_gone_is_an_error)
{
    char *large = mem_alloc_zero(60000);
    int r = 0;

    open_queue();
    takeover_queue_open(&queue, 1);
    for (int i = 0; i < 100; i++)
        takeover_queue_push(&queue, WIRE_WELCOME, str_make(large, 60000), -1);
    CHECK_INT(takeover_queue_send(&queue, ends[0]), QUEUE_FULL);
    CHECK(queue.messages.n_nodes > 0 && queue.messages.n_nodes < 100);
    shutdown(ends[1], SHUT_RD);
    r = takeover_queue_send(&queue, ends[0]);
    CHECK(r < 0);
    mem_free(large);
    close_queue();
}

TEST(a_descriptor_goes_along)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {room, sizeof room};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int passed;

    open_queue();
    takeover_queue_push(&queue, WIRE_SOCKET, STR(""), ends[0]);
    CHECK(takeover_queue_send(&queue, ends[0]) == 0);
    CHECK(recvmsg(ends[1], &m, MSG_CMSG_CLOEXEC) == WIRE_HEAD_BYTES);
    CHECK(CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == SCM_RIGHTS);
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof passed);
    CHECK(passed != ends[0] && fcntl(passed, F_GETFD) == FD_CLOEXEC);
    close(passed);
    close_queue();
}
