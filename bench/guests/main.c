/* The reporting half of a benchmark guest, and its small kernel: see guest.h. */
#include "guest.h"

static void put(char c)
{
    __asm__ volatile("outb %0, $0xe9" : : "a"(c));
    __asm__ volatile("outb %0, %w1" : : "a"(c), "d"(0x3f8));
}

static void put_hex(u32 value)
{
    put(' ');
    for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

void guest_main(void)
{
    put('B');
    put('\n');
    for (u32 rep = 0; rep < REPS; rep++) {
        u32 sum = kernel(rep);
        put('R');
        put_hex(rep);
        put_hex(sum);
        put('\n');
    }
    put('E');
    put('\n');
}

extern u32 idt[];
void leave_ring3(void);

void set_gate(u32 vector, void (*handler)(void), u32 ring)
{
    u32 at = (u32)(uptr)handler, flags = 0x8e00 | ring << 13;
#ifdef __x86_64__
    u32 *gate = idt + vector * 4;
    gate[2] = (u32)((u64)(uptr)handler >> 32);
    gate[3] = 0;
#else
    u32 *gate = idt + vector * 2;
#endif
    gate[0] = (at & 0xffff) | KERNEL_CS << 16;
    gate[1] = (at & 0xffff0000) | flags;
    if (vector != 0x81) set_gate(0x81, leave_ring3, 3);
}

uptr page_root(void)
{
    uptr root;
    __asm__ volatile("mov %%cr3, %0" : "=r"(root));
    return root;
}

/* Tables of the other roots: the first levels are copied, the last one holds the window alone. */
static u64 tables[2][4][512] __attribute__((aligned(4096)));

static void copy_table(void *to, const void *from)
{
    for (u32 i = 0; i < 1024; i++) ((u32 *)to)[i] = ((const u32 *)from)[i];
}

uptr make_root(u32 which, void *window_page)
{
    u64(*t)[512] = tables[which];
    uptr page = (uptr)window_page | 7;
#ifdef __x86_64__
    extern u64 page_directory[];
    copy_table(t[1], page_directory);
    t[0][0] = (uptr)t[3] | 7;
    t[3][0] = (uptr)t[1] | 7;
    t[1][WINDOW >> 21] = (uptr)t[2] | 7;
    t[2][WINDOW >> 12 & 511] = page;
#else
    extern u32 page_directory[];
    copy_table(t[0], page_directory);
    ((u32 *)t[0])[WINDOW >> 22] = (uptr)t[1] | 7;
    ((u32 *)t[1])[WINDOW >> 12 & 1023] = page;
#endif
    return (uptr)t[0];
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
