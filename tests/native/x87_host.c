/*
 * Runs single x87 instructions on the host processor from given FPU states and reports what they did: the oracle of
 * tests/x87_test.ts.
 *
 * Build: gcc -O1 -o x87_host x87_host.c        (Linux, x86-64)
 *
 * stdin:  struct test_case, repeated until end of file; stdout: struct test_result for each, little-endian.
 * The instruction's memory operand is [RDI]; AX starts as 0. State images are FSAVE's in the 32-bit protected format.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct test_case {
    uint8_t length;
    uint8_t code[15];
    uint32_t rflags; /* arithmetic flags */
    uint8_t state[108];
    uint8_t memory[512];
};

struct test_result {
    uint32_t ax;
    uint32_t rflags;
    uint8_t state[108];
    uint8_t memory[512];
};

int main(void)
{
    static struct test_case t;
    static struct test_result r;
    static uint8_t memory[512] __attribute__((aligned(64)));
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return 1;
    while (fread(&t, sizeof t, 1, stdin) == 1) {
        uint64_t ax, flags;
        memcpy(page, t.code, t.length);
        page[t.length] = 0xc3;
        memcpy(memory, t.memory, sizeof memory);
        /* The red zone is stepped over before anything is pushed. */
        __asm__ volatile(
            "lea -256(%%rsp), %%rsp\n\t"
            "fninit\n\t"
            "frstor (%[state])\n\t"
            "push %[flags_in]\n\t"
            "popfq\n\t"
            "xor %%eax, %%eax\n\t"
            "push %[flags_in]\n\t"
            "popfq\n\t"
            "call *%[code]\n\t"
            "pushfq\n\t"
            "pop %[flags_out]\n\t"
            "fnsave (%[out])\n\t"
            "fninit\n\t"
            "lea 256(%%rsp), %%rsp\n\t"
            : "=&a"(ax), [flags_out] "=&r"(flags)
            : [state] "r"(t.state), [out] "r"(r.state), [code] "r"(page), "D"(memory),
              [flags_in] "r"((uint64_t)(t.rflags | 0x202))
            : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
              "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
        memcpy(r.memory, memory, sizeof memory);
        r.ax = (uint32_t)ax;
        r.rflags = (uint32_t)flags;
        if (fwrite(&r, sizeof r, 1, stdout) != 1) return 1;
    }
    return 0;
}
