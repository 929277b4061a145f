// Failures: the reason on standard error, and an exit status.
#ifndef FAIL_H
#define FAIL_H

#define STATUS_FAILED 1
#define STATUS_USAGE 2

__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
__attribute__((noreturn, format(printf, 1, 2))) void fail_usage(const char *format, ...);

#endif
