/* Sieve of Eratosthenes over bytes: tight loops, strided stores. */
#include "guest.h"

#define LIMIT 1000000
static u8 composite[LIMIT];

static u32 count_primes(void)
{
    u32 count = 0;
    for (u32 i = 0; i < LIMIT; i++) composite[i] = 0;
    for (u32 i = 2; i * i < LIMIT; i++) {
        if (composite[i]) continue;
        for (u32 j = i * i; j < LIMIT; j += i) composite[j] = 1;
    }
    for (u32 i = 2; i < LIMIT; i++) count += !composite[i];
    return count;
}

u32 kernel(u32 rep)
{
    u32 sum = rep;
    for (u32 round = 0; round < ROUNDS; round++) sum = sum * 31 + count_primes();
    return sum;
}
