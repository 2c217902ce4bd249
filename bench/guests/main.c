/* The reporting half of a benchmark guest: see guest.h. */
#include "guest.h"

static void put(char c)
{
    __asm__ volatile("outb %0, $0xe9" : : "a"(c));
    __asm__ volatile("outb %0, %w1" : : "a"(c), "d"(0x3f8));
}

static void report(char tag, int with_value, u32 value)
{
    put(tag);
    if (with_value) {
        put(' ');
        for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
    }
    put('\n');
}

void guest_main(void)
{
    report('B', 0, 0);
    for (u32 rep = 0; rep < REPS; rep++) report('R', 1, kernel(rep));
    report('E', 0, 0);
}

/* What the compiler may call in freestanding code. */
void *memset(void *to, int c, unsigned long n)
{
    u8 *p = to;
    while (n--) {
        *p++ = (u8)c;
        __asm__ volatile("" ::: "memory");
    }
    return to;
}

void *memcpy(void *to, const void *from, unsigned long n)
{
    u8 *p = to;
    const u8 *q = from;
    while (n--) {
        *p++ = *q++;
        __asm__ volatile("" ::: "memory");
    }
    return to;
}
