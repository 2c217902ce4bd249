/* Arithmetic in registers: adds, shifts, rotates, multiplications, divisions, bit counts; hardly any memory. */
#include "guest.h"

static u32 collatz(u32 n)
{
    u32 steps = 0;
    while (n != 1) {
        n = n & 1 ? 3 * n + 1 : n >> 1;
        steps++;
    }
    return steps;
}

static u32 gcd(u32 a, u32 b)
{
    while (b) {
        u32 rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static u32 mix(u32 a, u32 b, u32 c)
{
    for (u32 i = 0; i < 64; i++) {
        a -= c; a ^= c << 4 | c >> 28; c += b;
        b -= a; b ^= a << 6 | a >> 26; a += c;
        c -= b; c ^= b << 8 | b >> 24; b += a;
        a ^= (u32)((u64)b * c >> 32);
    }
    return a ^ b ^ c;
}

u32 kernel(u32 rep)
{
    u32 sum = rep;
    for (u32 round = 1; round <= ROUNDS; round++) {
        sum += collatz(round + rep);
        sum ^= gcd(sum | 1, round * 2654435761u);
        sum = mix(sum, round, rep);
    }
    return sum;
}
