/*
 * xpc/connection.h: connections and listeners.
 *
 * A connection is made inactive, given an event handler, and activated. The handler runs on a serial queue
 * of the connection; it is called with dictionaries (messages) and errors, a listener's with connections
 * (peers) and errors. What it is given is borrowed until it returns. A listener learns of a client only when
 * the client has sent its first message: clients speak first.
 */
#ifndef __XPC_CONNECTION_H__
#define __XPC_CONNECTION_H__

#ifndef __XPC_INDIRECT__
#error "Include <xpc/xpc.h> instead of this file."
#endif

#ifndef __BLOCKS__
#error "XPC connections need blocks: compile with clang -fblocks."
#endif

XPC_BEGIN_DECLS
XPC_ASSUME_NONNULL_BEGIN

/* ----------------------------------------------------------------------------------------- errors ---- */

/* The service went away. The connection lives on: the next message looks for the service again. */
#define XPC_ERROR_CONNECTION_INTERRUPTED XPC_GLOBAL_OBJECT(_xpc_error_connection_interrupted)
XPC_EXPORT const struct _xpc_dictionary_s _xpc_error_connection_interrupted;

/* The end: cancelled, no such service, or the other side is gone for good. Nothing follows. */
#define XPC_ERROR_CONNECTION_INVALID XPC_GLOBAL_OBJECT(_xpc_error_connection_invalid)
XPC_EXPORT const struct _xpc_dictionary_s _xpc_error_connection_invalid;

/* The system is about to stop this process. Linux has no such notice: never delivered. */
#define XPC_ERROR_TERMINATION_IMMINENT XPC_GLOBAL_OBJECT(_xpc_error_termination_imminent)
XPC_EXPORT const struct _xpc_dictionary_s _xpc_error_termination_imminent;

/* The peer does not meet a code-signing requirement. Never delivered on Linux. */
#define XPC_ERROR_PEER_CODE_SIGNING_REQUIREMENT XPC_GLOBAL_OBJECT(_xpc_error_peer_code_signing_requirement)
XPC_EXPORT const struct _xpc_dictionary_s _xpc_error_peer_code_signing_requirement;

/* ----------------------------------------------------------------------------- making connections ---- */

#define XPC_CONNECTION_MACH_SERVICE_LISTENER (1 << 0)
#define XPC_CONNECTION_MACH_SERVICE_PRIVILEGED (1 << 1) /* of no effect on Linux */

typedef void (*xpc_finalizer_t)(void *_Nullable value);

/*
 * Each gives an inactive connection (+1). `targetq` (retained; NULL for the default) is the queue that its
 * handlers run on.
 *
 * xpc_connection_create: with NULL an anonymous listener, reached through xpc_endpoint_create; with a name
 * a client of that service.
 */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_connection_t xpc_connection_create(const char *_Nullable name, dispatch_queue_t _Nullable targetq);

/* A client of the service `name`, or with XPC_CONNECTION_MACH_SERVICE_LISTENER the service itself. Creation
 * succeeds whatever is there: the name is resolved, or taken, at activation. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_connection_t xpc_connection_create_mach_service(const char *name, dispatch_queue_t _Nullable targetq,
                                                    uint64_t flags);

/* A client of the listener that the endpoint (borrowed) came from. It becomes invalid when that listener is
 * cancelled, or its process ends. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_connection_t xpc_connection_create_from_endpoint(xpc_endpoint_t endpoint);

/* ------------------------------------------------------------------------------------- life cycle ---- */

/* Sets the queue for the handlers. Before activation only: aborts later. */
XPC_EXPORT void xpc_connection_set_target_queue(xpc_connection_t connection,
                                                dispatch_queue_t _Nullable targetq);

/* Sets the handler (copied; released after the final error). Required before activation; may be replaced. */
XPC_EXPORT void xpc_connection_set_event_handler(xpc_connection_t connection, xpc_handler_t handler);

/* Starts the connection; of no effect on an active one. From then on it keeps itself alive until it has
 * delivered XPC_ERROR_CONNECTION_INVALID. A message for a connection without a handler aborts. When this
 * returns, a listener can be found by its clients, or has failed. */
XPC_EXPORT void xpc_connection_activate(xpc_connection_t connection);

/* Holds back handlers, and messages in both directions, until the matching resume. Handlers that run already
 * go on. */
XPC_EXPORT void xpc_connection_suspend(xpc_connection_t connection);

/* Balances one suspend; activates an inactive connection. Aborts when there is nothing to balance. */
XPC_EXPORT void xpc_connection_resume(xpc_connection_t connection);

/*
 * Ends the connection, soon: unsent messages are dropped, pending replies get
 * XPC_ERROR_CONNECTION_INVALID, then the event handler gets it, once, and nothing follows. Idempotent. It
 * ends suspensions as well: a resume after it is one too many, and aborts.
 */
XPC_EXPORT void xpc_connection_cancel(xpc_connection_t connection);

/* --------------------------------------------------------------------------------------- messages ---- */

/*
 * Sends a dictionary, captured as it is now. Never blocks. Aborts when `message` is not a dictionary, holds
 * something that cannot travel (a connection, an error), or is a reply to a message of another connection.
 * A message above the limits (64 MiB, 64 levels, 4096 descriptors, 65,536 values), like a queue of more
 * than 64 MiB or 16,384 unsent messages, makes the connection invalid.
 */
XPC_EXPORT void xpc_connection_send_message(xpc_connection_t connection, xpc_object_t message);

/* Runs the block on the connection's queue after all earlier messages left, or were dropped. */
XPC_EXPORT void xpc_connection_send_barrier(xpc_connection_t connection, dispatch_block_t barrier);

/* Sends, and calls the handler on `replyq` (NULL: the connection's queue) exactly once: with the reply or
 * with an error. There is no timeout. */
XPC_EXPORT void xpc_connection_send_message_with_reply(xpc_connection_t connection, xpc_object_t message,
                                                       dispatch_queue_t _Nullable replyq,
                                                       xpc_handler_t handler);

/* Sends, and waits for the reply (+1; a dictionary or an error). Never from the connection's own event
 * handler, which holds the reply back: such a wait never ends. */
XPC_EXPORT XPC_WARN_RESULT XPC_RETURNS_RETAINED
xpc_object_t xpc_connection_send_message_with_reply_sync(xpc_connection_t connection, xpc_object_t message);

/* ------------------------------------------------------------------------------------ who is there ---- */

/* The service name given at creation, or NULL. It lives as long as the connection. */
XPC_EXPORT XPC_WARN_RESULT const char *_Nullable xpc_connection_get_name(xpc_connection_t connection);

/* The credentials of the other side, from the kernel. On a client they are known once the first packet of
 * the service came; before that, and on a listener, pid is 0 and the ids are -1. */
XPC_EXPORT XPC_WARN_RESULT uid_t xpc_connection_get_euid(xpc_connection_t connection);
XPC_EXPORT XPC_WARN_RESULT gid_t xpc_connection_get_egid(xpc_connection_t connection);
XPC_EXPORT XPC_WARN_RESULT pid_t xpc_connection_get_pid(xpc_connection_t connection);

/* Why the connection became invalid, for people to read (the caller frees it), or NULL if it did not. */
XPC_EXPORT XPC_WARN_RESULT char *_Nullable xpc_connection_copy_invalidation_reason(
  xpc_connection_t connection);

/* ---------------------------------------------------------------------------------------- context ---- */

/* A pointer of the caller's, not looked at. */
XPC_EXPORT void xpc_connection_set_context(xpc_connection_t connection, void *_Nullable context);
XPC_EXPORT XPC_WARN_RESULT void *_Nullable xpc_connection_get_context(xpc_connection_t connection);

/* Called with the context, unless that is NULL, when the connection's last reference is gone. */
XPC_EXPORT void xpc_connection_set_finalizer_f(xpc_connection_t connection,
                                               xpc_finalizer_t _Nullable finalizer);

XPC_ASSUME_NONNULL_END
XPC_END_DECLS
#endif
