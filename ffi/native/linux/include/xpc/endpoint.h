/*
 * xpc/endpoint.h: what a listener hands out so that others can connect to it.
 */
#ifndef __XPC_ENDPOINT_H__
#define __XPC_ENDPOINT_H__

#ifndef __XPC_INDIRECT__
#error "Include <xpc/xpc.h> instead of this file."
#endif

XPC_BEGIN_DECLS

/*
 * Makes an endpoint (+1) of a listener: an object that can be sent, and from which any number of
 * connections can be made. Aborts for a connection that a listener received, and for one that does not
 * listen. The endpoint of a cancelled listener leads nowhere: connections made from it become invalid.
 */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_endpoint_t _Nonnull xpc_endpoint_create(xpc_connection_t _Nonnull connection);

XPC_END_DECLS
#endif
