/* agent_process.h: what the agent asks of the system that Swift sees differently on each. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdint.h>

/* Tells the system that this process is in use, until it is told that it is not. */
void agent_transaction_begin(void);
void agent_transaction_end(void);

/* Raises the soft limit of descriptors to the hard one: each endpoint takes a descriptor on Linux. */
void agent_raise_descriptor_limit(void);

uint64_t agent_microseconds_since_1970(void);
uint64_t agent_monotonic_milliseconds(void);

/* Keeps SIGTERM, SIGINT and SIGALRM from all threads that are made after it, for agent_wait_for_signal,
 * and ignores SIGPIPE. */
void agent_hold_signals(void);
/* The next of those signals. */
int agent_wait_for_signal(void);

#endif
