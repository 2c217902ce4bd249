/*
 * What every benchmark guest shares. A guest runs `kernel(rep)` REPS times and reports on port 0xe9 and the first
 * UART, one line each: "B" before the first repetition, "R <repetition> <checksum>" after each, "E" at the end. The
 * lines are the host's stopwatch.
 *
 * The machine around a kernel (start.S, start64.S): ring 0, interrupts off, paging on, 32 MiB mapped one to one and
 * open to ring 3, SSE and x87 enabled, DS and ES usable in both rings.
 */
#ifndef RETROVISOR_BENCH_GUEST_H
#define RETROVISOR_BENCH_GUEST_H
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef short s16;
typedef int s32;
/* As wide as a pointer and a general register. */
typedef unsigned long uptr;

/* One repetition of the workload (millions to tens of millions of instructions); returns a checksum of what it computed. */
u32 kernel(u32 rep);

/* Selectors that start.S and start64.S lay out as SYSENTER, SYSCALL and their returns want them. */
#define KERNEL_CS 0x08
#define KERNEL_SS 0x10
#define USER_SS 0x23
#ifdef __x86_64__
#define USER_CS 0x2b
#else
#define USER_CS 0x1b
#endif

/* Points a vector at a handler: an interrupt gate that rings up to `ring` may use. */
void set_gate(u32 vector, void (*handler)(void), u32 ring);

/* Runs `code` in ring 3 on a stack of its own until it executes INT 0x81; interrupts in ring 3 come to `user_trap_stack`. */
void run_in_ring3(void (*code)(void));
extern u8 user_trap_stack_top[];

/* The root of the page tables in use; a new root that maps the same plus one 4 KiB page at WINDOW. */
#define WINDOW 0x4000000
uptr page_root(void);
uptr make_root(u32 which, void *window_page);

static inline void write_msr(u32 index, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
}

static inline u32 next_random(u32 *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}
#endif
