/* Two arrays of 64 KiB read in step, DISTANCE bytes apart: 1 MiB, which small direct-mapped TLBs cannot hold, or 64 KiB. */
#include "guest.h"

#define WORDS (1 << 14)
static u32 space[(1 << 18) + WORDS] __attribute__((aligned(4096)));

static __attribute__((noinline)) u32 pass(const u32 *a, const u32 *b)
{
    u32 sum = 0;
    for (u32 i = 0; i < WORDS; i++) sum = sum * 3 + (a[i] ^ b[i]);
    return sum;
}

u32 kernel(u32 rep)
{
    u32 *a = space, *b = space + DISTANCE / 4, sum = rep, seed = rep;
    for (u32 i = 0; i < WORDS; i++) {
        a[i] = next_random(&seed);
        b[i] = next_random(&seed);
    }
    for (u32 round = 0; round < ROUNDS; round++) {
        sum = sum * 31 + pass(a, b);
        a[round & (WORDS - 1)] = sum;
    }
    return sum;
}
