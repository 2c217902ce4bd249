/* Patches the constant in a two-instruction function and calls it, again and again. */
#include "guest.h"

static u8 code[4096] __attribute__((aligned(4096)));

u32 kernel(u32 rep)
{
    u32 sum = rep;
    code[0] = 0xb8; /* mov $imm32, %eax; ret */
    code[5] = 0xc3;
    for (u32 i = 0; i < ROUNDS; i++) {
        u32 result;
        *(volatile u32 *)(code + 1) = i * 2654435761u;
        __asm__ volatile("call *%1" : "=a"(result) : "r"(code) : "memory");
        sum = sum * 31 + result;
    }
    return sum;
}
