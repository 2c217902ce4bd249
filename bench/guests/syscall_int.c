/* System calls by INT 0x80 from ring 3. */
#include "guest.h"

u32 count, result;
void on_system_call(void);
#ifdef __x86_64__
__asm__("on_system_call: add %eax, count(%rip)\n mov count(%rip), %eax\n iretq");
#else
__asm__("on_system_call: add %eax, count\n mov count, %eax\n iret");
#endif

static void user(void)
{
    u32 sum = 0;
    for (u32 i = 0; i < ROUNDS; i++) {
        u32 value = i;
        __asm__ volatile("int $0x80" : "+a"(value) : : "memory");
        sum ^= value;
    }
    result = sum;
    __asm__ volatile("int $0x81");
}

u32 kernel(u32 rep)
{
    set_gate(0x80, on_system_call, 3);
    count = rep;
    run_in_ring3(user);
    return result;
}
