/* Copies of 16 bytes to 64 KiB, aligned and not. With -DWORDS word by word in a loop; otherwise REP MOVS and REP STOS. */
#include "guest.h"

#define BYTES 65536
static u8 from[BYTES + 64] __attribute__((aligned(4096))), to[BYTES + 64] __attribute__((aligned(4096)));

static void copy(u8 *d, const u8 *s, u32 bytes)
{
#ifdef WORDS
    for (u32 i = 0; i < bytes; i += sizeof(uptr)) {
        *(uptr *)(d + i) = *(const uptr *)(s + i);
        __asm__ volatile("" ::: "memory");
    }
#else
    uptr words = bytes / 4;
    __asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
#endif
}

static void fill(u8 *d, u32 value, u32 bytes)
{
#ifdef WORDS
    for (u32 i = 0; i < bytes; i += 4) {
        *(u32 *)(d + i) = value;
        __asm__ volatile("" ::: "memory");
    }
#else
    uptr words = bytes / 4;
    __asm__ volatile("rep stosl" : "+D"(d), "+c"(words) : "a"(value) : "memory");
#endif
}

u32 kernel(u32 rep)
{
    u32 seed = rep, sum = 0;
    for (u32 i = 0; i < sizeof from; i++) from[i] = (u8)next_random(&seed);
    for (u32 round = 0; round < ROUNDS; round++) {
        for (u32 bytes = 16; bytes <= BYTES; bytes *= 4) {
            u32 offset = (round & 3) * 4 + (round & 1);
            copy(to + offset, from + (round & 15), bytes);
            sum = sum * 31 + to[offset + bytes / 3];
            copy(from + offset, to, bytes);
            fill(to, sum, bytes / 2);
            sum += to[bytes / 4];
        }
    }
    for (u32 i = 0; i < sizeof to; i++) sum = sum * 31 + to[i] + from[i];
    return sum;
}
