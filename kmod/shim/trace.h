/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM liveupdate_lab

#if !defined(LU_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LU_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(state,

	TP_PROTO(const char *old, const char *now),

	TP_ARGS(old, now),

	TP_STRUCT__entry(
		__string(old, old)
		__string(now, now)
	),

	TP_fast_assign(
		__assign_str(old);
		__assign_str(now);
	),

	TP_printk("old=%s new=%s", __get_str(old), __get_str(now))
);

#endif /* LU_TRACE_H */

/* Kbuild puts this folder on the include path of the one file that defines the events. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
