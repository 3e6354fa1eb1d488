/* agent_process.h: calls of the system whose Swift interface differs between macOS and Linux. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdint.h>

/* Between the two calls the system knows that this process is in use, and does not end it when idle. */
void agent_transaction_begin(void);
void agent_transaction_end(void);

/* Raises the soft limit of descriptors to the hard limit, because each endpoint takes a descriptor on Linux. */
void agent_raise_descriptor_limit(void);

uint64_t agent_microseconds_since_1970(void);
uint64_t agent_monotonic_milliseconds(void);

/* Starts a thread that calls `body(context)` and that nobody joins. 0 or -errno. */
int agent_start_thread(void *(*body)(void *context), void *context);

/* Blocks SIGTERM, SIGINT and SIGALRM in this thread and in all threads that are created later, so that
 * agent_wait_for_signal gets them. Ignores SIGPIPE. 0 or -errno. */
int agent_hold_signals(void);
/* Waits for the next of these signals and returns its number, or -errno. */
int agent_wait_for_signal(void);

#endif
