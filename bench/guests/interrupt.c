/* INT and IRET within ring 0. */
#include "guest.h"

u32 count;
void on_interrupt(void);
#ifdef __x86_64__
__asm__("on_interrupt: add %eax, count(%rip)\n iretq");
#else
__asm__("on_interrupt: add %eax, count\n iret");
#endif

u32 kernel(u32 rep)
{
    set_gate(0x40, on_interrupt, 0);
    count = rep;
    for (u32 i = 0; i < ROUNDS; i++) __asm__ volatile("int $0x40" : : "a"(i) : "memory");
    return count;
}
