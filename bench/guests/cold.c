/* 20,000 different functions of about ten instructions, called in turn through a table, ROUNDS times over. */
#include "guest.h"

#define FUNCTIONS 20000
#ifdef __x86_64__
#define POINTER ".quad"
#else
#define POINTER ".long"
#endif
/*
 * u32 f(u32 x), x and the result in EAX. Constants differ in each function, the shape in every eighth; a forward branch
 * goes either way, depending on x.
 */
__asm__(
    ".section .rodata.cold, \"a\"\n"
    ".balign 8\n"
    "cold_table:\n"
    ".section .text.cold, \"ax\"\n"
    ".set n, 0\n"
    ".rept 20000\n"
    ".p2align 4\n" /* as compilers do */
    "7:  add $n * 2654435 + 1, %eax\n"
    "    mov %eax, %edx\n"
    ".if n & 1\n    rol $(n & 15) + 1, %edx\n.else\n    shr $(n & 7) + 1, %edx\n.endif\n"
    ".if n & 2\n    xor %edx, %eax\n.else\n    sub %edx, %eax\n.endif\n"
    ".if n & 4\n    mov scratch + (n & 1023) * 4, %ecx\n    add %ecx, %eax\n"
    ".else\n    add %eax, scratch + (n & 1023) * 4\n    lea 3(%eax, %edx, 2), %eax\n.endif\n"
    "    test $1 << (n % 11), %eax\n"
    "    jz 8f\n"
    "    xor $n + 77, %eax\n"
    "8:  imul $n * 2 + 5, %eax, %eax\n"
    "    ret\n"
    "    .pushsection .rodata.cold, \"a\"\n"
    "    " POINTER " 7b\n"
    "    .popsection\n"
    "    .set n, n + 1\n"
    ".endr\n"
    ".text\n");
u32 scratch[1024];
extern const uptr cold_table[];

u32 kernel(u32 rep)
{
    u32 sum = rep;
    for (u32 round = 0; round < ROUNDS; round++) {
        for (const uptr *f = cold_table; f < cold_table + FUNCTIONS; f++) {
            __asm__ volatile("call *%1" : "+a"(sum) : "r"(*f) : "ecx", "edx", "memory");
        }
    }
    return sum;
}
