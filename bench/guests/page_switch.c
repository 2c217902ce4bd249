/* Switches between two page tables by writing CR3, with a few loads and stores after each. */
#include "guest.h"

static u32 window_a[1024] __attribute__((aligned(4096))), window_b[1024] __attribute__((aligned(4096)));
static u32 shared[4096];

u32 kernel(u32 rep)
{
    uptr boot = page_root(), a = make_root(0, window_a), b = make_root(1, window_b);
    volatile u32 *window = (u32 *)WINDOW;
    u32 sum = rep;
    for (u32 i = 0; i < 1024; i++) window_a[i] = i + rep, window_b[i] = ~i * 3;
    for (u32 i = 0; i < ROUNDS; i++) {
        __asm__ volatile("mov %0, %%cr3" : : "r"(i & 1 ? b : a) : "memory");
        sum = sum * 31 + window[i & 1023];
        window[(i + 1) & 1023] = sum;
        shared[i & 4095] += sum;
    }
    __asm__ volatile("mov %0, %%cr3" : : "r"(boot) : "memory");
    for (u32 i = 0; i < 4096; i++) sum = sum * 31 + shared[i];
    return sum;
}
