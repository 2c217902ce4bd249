/* CPUID, leaf 1. What it says differs from machine to machine, so that the checksum holds only whether it says the same. */
#include "guest.h"

u32 kernel(u32 rep)
{
    u32 first = 0, sum = rep;
    for (u32 i = 0; i < ROUNDS; i++) {
        u32 a = 1, b, c = 0, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        if (i == 0) first = d;
        sum = sum * 31 + (d == first);
    }
    return sum;
}
