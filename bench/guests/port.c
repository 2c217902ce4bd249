/* Port I/O: writes the interrupt mask of the second PIC and reads it back. */
#include "guest.h"

u32 kernel(u32 rep)
{
    u32 sum = rep;
    for (u32 i = 0; i < ROUNDS; i += 2) {
        u8 value = (u8)(i >> 1), seen;
        __asm__ volatile("outb %0, $0xa1" : : "a"(value));
        __asm__ volatile("inb $0xa1, %0" : "=a"(seen));
        sum = sum * 31 + seen;
    }
    return sum;
}
