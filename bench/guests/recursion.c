/* Calls and returns: Fibonacci numbers, Ackermann's function, the towers of Hanoi; nothing inlined. */
#include "guest.h"

static __attribute__((noinline, optimize("no-optimize-sibling-calls"))) u32 fib(u32 n)
{
    if (n < 2) return n;
    u32 a = fib(n - 1);
    __asm__ volatile("" : "+r"(a));
    return a + fib(n - 2);
}

static __attribute__((noinline, optimize("no-optimize-sibling-calls"))) u32 ackermann(u32 m, u32 n)
{
    if (m == 0) return n + 1;
    if (n == 0) return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

static u32 pegs[3];
static __attribute__((noinline)) void hanoi(u32 discs, u32 from, u32 to)
{
    if (discs == 0) return;
    u32 over = 3 - from - to;
    hanoi(discs - 1, from, over);
    pegs[to] = pegs[to] * 5 + discs;
    pegs[from] ^= pegs[to] >> 7;
    hanoi(discs - 1, over, to);
}

u32 kernel(u32 rep)
{
    u32 sum = rep;
    for (u32 round = 0; round < ROUNDS; round++) {
        sum = sum * 31 + fib(22);
        sum = sum * 31 + ackermann(2, 150);
        hanoi(15, round % 3, (round + 1) % 3);
        sum += pegs[0] ^ pegs[1] ^ pegs[2];
    }
    return sum;
}
