/*
 * What every benchmark guest shares. A guest runs `kernel(rep)` REPS times and reports on port 0xe9 and the first
 * UART, one line each: "B" before the first repetition, "R <checksum>" after each, "E" at the end. The lines are
 * the host's stopwatch.
 */
#ifndef RETROVISOR_BENCH_GUEST_H
#define RETROVISOR_BENCH_GUEST_H
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef short s16;
typedef int s32;

/* One repetition of the workload (tens of millions of instructions); returns a checksum of what it computed. */
u32 kernel(u32 rep);
#endif
