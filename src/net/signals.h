/* Signals as events of a loop (signalfd). They must be blocked in every thread: signals_block()
 * first thing in main, before any thread starts. */
#pragma once

#include "net/loop.h"

struct signals;
typedef void signals_fn(struct signals *s, int number);

struct signals {
    struct loop_fd io;
    signals_fn *on_signal;
};

/* Blocks SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2 and ignores SIGPIPE. */
void signals_block(void);
/* 0 or negative. */
MUST_USE int signals_open(struct signals *s, struct loop *l, signals_fn *on_signal);
void signals_close(struct signals *s);
