/*
 * xpc/base.h: the macros that the declarations of this libxpc are written with.
 */
#ifndef __XPC_BASE_H__
#define __XPC_BASE_H__

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#ifdef __cplusplus
#define XPC_BEGIN_DECLS extern "C" {
#define XPC_END_DECLS }
#else
#define XPC_BEGIN_DECLS
#define XPC_END_DECLS
#endif

#define XPC_EXPORT extern __attribute__((visibility("default")))
#define XPC_PRINTF(m, n) __attribute__((format(printf, m, n)))
#define XPC_WARN_RESULT __attribute__((__warn_unused_result__))
#define XPC_RETURNS_RETAINED

#if __has_feature(assume_nonnull)
#define XPC_ASSUME_NONNULL_BEGIN _Pragma("clang assume_nonnull begin")
#define XPC_ASSUME_NONNULL_END _Pragma("clang assume_nonnull end")
#else
#define XPC_ASSUME_NONNULL_BEGIN
#define XPC_ASSUME_NONNULL_END
#endif

#if !__has_feature(nullability)
#ifndef _Nullable
#define _Nullable
#endif
#ifndef _Nonnull
#define _Nonnull
#endif
#endif

#ifdef __clang__
#define XPC_NOESCAPE __attribute__((__noescape__))
#else
#define XPC_NOESCAPE
#endif

#endif
