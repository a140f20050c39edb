// SPDX-License-Identifier: GPL-2.0-only
/*
 * The C side of the tracepoint: see trace.rs.
 */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/mayexec.h>
