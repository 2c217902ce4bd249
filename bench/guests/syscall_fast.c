/* System calls from ring 3 by SYSENTER and SYSEXIT (32-bit) or SYSCALL and SYSRET (64-bit). */
#include "guest.h"

u32 count, result;
void on_system_call(void);
void user_loop(void);
u32 user_sum;
#ifdef __x86_64__
uptr user_rsp;
__asm__(
    "on_system_call: mov %rsp, user_rsp(%rip)\n"
    "    mov $user_trap_stack_top, %rsp\n"
    "    add %eax, count(%rip)\n"
    "    mov count(%rip), %eax\n"
    "    mov user_rsp(%rip), %rsp\n"
    "    sysretq\n"
    "user_loop: xor %esi, %esi\n"
    "    xor %edi, %edi\n"
    "1:  mov %esi, %eax\n"
    "    syscall\n"
    "    xor %eax, %edi\n"
    "    inc %esi\n"
    "    cmp rounds(%rip), %esi\n"
    "    jne 1b\n"
    "    mov %edi, result(%rip)\n"
    "    int $0x81\n");
#else
__asm__(
    "on_system_call: add %eax, count\n"
    "    mov count, %eax\n"
    "    sysexit\n"
    "user_loop: xor %esi, %esi\n"
    "    xor %edi, %edi\n"
    "1:  mov %esi, %eax\n"
    "    mov %esp, %ecx\n"
    "    mov $2f, %edx\n"
    "    sysenter\n"
    "2:  xor %eax, %edi\n"
    "    inc %esi\n"
    "    cmp rounds, %esi\n"
    "    jne 1b\n"
    "    mov %edi, result\n"
    "    int $0x81\n");
#endif
u32 rounds = ROUNDS;

u32 kernel(u32 rep)
{
    set_gate(0x80, on_system_call, 3);
#ifdef __x86_64__
    write_msr(0xc0000081, (u64)(KERNEL_CS | (0x18 | 3) << 16) << 32); /* STAR */
    write_msr(0xc0000082, (uptr)on_system_call);                      /* LSTAR */
    write_msr(0xc0000084, 0x700);                                     /* SFMASK */
#else
    write_msr(0x174, KERNEL_CS);
    write_msr(0x175, (uptr)user_trap_stack_top);
    write_msr(0x176, (uptr)on_system_call);
#endif
    count = rep;
    run_in_ring3(user_loop);
    return result;
}
