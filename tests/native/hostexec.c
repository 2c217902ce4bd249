/*
 * Runs short instruction sequences on the host processor from given register and memory states, and reports what they
 * did. The oracle of the host differential test (tests/cpu_host_test.ts, tests/fidelity/hostdiff.ts).
 *
 * Build: gcc -O2 -pie -fno-stack-protector -o hostexec hostexec.c      (Linux, x86-64)
 *
 * A case is entered by returning from a signal whose saved context was overwritten with the case's state (the kernel
 * loads every register, CS and SS included, so 32-bit code needs no far jump), and ends with the next signal: the code
 * page is filled with INT3. No system call is made between two cases.
 *
 * Memory as a case sees it (everything else below 4 GiB is unmapped):
 *   0x10000000  4096 bytes   code: readable, executable; INT3 around the case's bytes
 *   0x20000000  8192 bytes   window: readable, writable
 *   0x20002000  4096 bytes   read-only
 * Both data areas start as words of a generator (`fill_word`) seeded by the case, then patched.
 *
 * Segments in 64-bit and 32-bit cases: DS = ES = SS = 0x2b (flat); CS = 0x33 or 0x23; FS, GS null; the base of GS is
 * 0x20001000. In 16-bit cases all are small, from the LDT: CS = 0x07 (base 0x10000000, limit 0xffff; RIP is an offset in
 * it), DS = 0x0f (base 0x20000000, limit 0x2fff), SS = 0x17 (same base, limit 0x1fff), ES = 0x1f (same base, expand-down
 * above 0xfff).
 *
 * Protocol on stdin/stdout, little-endian; repeated until end of file:
 *   in:  u32 count (at most 8192), then `count` times struct test_case
 *   out: `count` times struct test_result followed by `changed` times struct change
 *
 * `hostexec --vendor` prints CPUID's vendor and ends.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x10000000ul
#define CODE_SIZE 4096ul
#define WINDOW 0x20000000ul
#define WINDOW_SIZE 8192ul
#define READONLY_SIZE 4096ul
#define MAX_CASES 8192u
#define PATCHES 8
#define ARCH_SET_GS 0x1001

struct patch {
    uint16_t offset; /* into window + read-only page */
    uint16_t length; /* 0: unused */
    uint8_t bytes[16];
};

struct test_case {
    uint8_t mode; /* 64, 32 or 16 */
    uint8_t code_length;
    uint16_t code_offset; /* of the first byte in the code page */
    uint32_t seed;
    uint64_t rflags; /* AC, OF, DF, TF, SF, ZF, AF, PF, CF are loaded */
    uint64_t gpr[16]; /* RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8..R15 */
    uint8_t fx[512]; /* FXSAVE64 image (MXCSR and XMM included) */
    uint8_t code[192];
    struct patch patches[PATCHES];
};

struct test_result {
    uint32_t signo;
    uint32_t vector; /* exception number; 3 = the INT3 behind the code, or one of the case's own */
    uint32_t error_code;
    uint32_t changed; /* 8-byte words of the window that differ from before */
    uint64_t fault_address; /* CR2; only meaningful for vector 14 */
    uint64_t rip;
    uint64_t rflags;
    uint64_t cs;
    uint64_t gpr[16];
    uint8_t fx[512];
};

struct change {
    uint32_t offset;
    uint32_t value[2];
};

static struct test_case *cases;
static uint8_t *results;
static size_t results_used;
static uint32_t case_count, current;
static int running;
static uint32_t last_tick_case;
static uint64_t before[(WINDOW_SIZE + READONLY_SIZE) / 8];
static gregset_t home_gregs;
static uint8_t home_fx[512];

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/* The n-th 32-bit word of the data areas before patches; tests/fidelity/protocol.ts has the same. */
static inline uint32_t fill_word(uint32_t seed, uint32_t n)
{
    uint32_t x = (seed ^ n * 0x9e3779b9u) * 0x85ebca6bu;
    return (x ^ x >> 15) * 0xc2b2ae35u;
}


/* The kernel leaves DS and ES as they are when it returns from a signal. */
static void load_data_segments(int mode)
{
    __asm__ volatile("mov %0, %%ds" : : "r"(mode == 16 ? 0x0f : 0x2b));
    __asm__ volatile("mov %0, %%es" : : "r"(mode == 16 ? 0x1f : 0x2b));
}

static void make_segment(unsigned entry, unsigned base, unsigned limit, unsigned contents)
{
    struct user_desc d = {.entry_number = entry, .base_addr = base, .limit = limit, .contents = contents};
    if (syscall(SYS_modify_ldt, 1, &d, sizeof d)) exit(2);
}

/* Aliases of the code and read-only pages that stay writable, so that cases can be set up without a system call. */
static uint8_t *code_alias, *data_alias;

static void load_case(ucontext_t *uc, const struct test_case *c)
{
    uint32_t *words = (uint32_t *)data_alias;
    for (uint32_t i = 0; i < (WINDOW_SIZE + READONLY_SIZE) / 4; i++) words[i] = fill_word(c->seed, i);
    for (int i = 0; i < PATCHES; i++) {
        const struct patch *p = &c->patches[i];
        if (p->length <= 16 && p->offset + p->length <= (int)(WINDOW_SIZE + READONLY_SIZE))
            memcpy(data_alias + p->offset, p->bytes, p->length);
    }
    memcpy(before, data_alias, sizeof before);
    memset(code_alias, 0xcc, CODE_SIZE);
    memcpy(code_alias + c->code_offset, c->code, c->code_length);

    greg_t *g = uc->uc_mcontext.gregs;
    for (int i = 0; i < 16; i++) g[greg_of[i]] = (greg_t)c->gpr[i];
    g[REG_RIP] = (greg_t)((c->mode == 16 ? 0 : CODE) + c->code_offset);
    g[REG_EFL] = (greg_t)(0x202 | (c->rflags & 0x40dd5));
    uint64_t selectors = (uint64_t)g[REG_CSGSFS];
    uint64_t cs = c->mode == 64 ? 0x33 : c->mode == 32 ? 0x23 : 0x07, ss = c->mode == 16 ? 0x17 : 0x2b;
    g[REG_CSGSFS] = (greg_t)((selectors & 0x0000ffffffff0000ull) | cs | ss << 48);
    load_data_segments(c->mode);

    uint8_t *fx = (uint8_t *)uc->uc_mcontext.fpregs;
    memcpy(fx, c->fx, 464); /* the rest tells the kernel about the XSAVE area behind it */
    uint32_t magic;
    memcpy(&magic, fx + 464, 4);
    if (magic == 0x46505853) { /* FP_XSTATE_MAGIC1: XSTATE_BV = x87 and SSE, everything else initial */
        uint64_t bv = 3;
        memcpy(fx + 512, &bv, 8);
    }
}

static void store_result(const ucontext_t *uc, int signo)
{
    const greg_t *g = uc->uc_mcontext.gregs;
    struct test_result *r = (struct test_result *)(results + results_used);
    memset(r, 0, sizeof *r);
    r->signo = (uint32_t)signo;
    r->vector = (uint32_t)g[REG_TRAPNO];
    r->error_code = (uint32_t)g[REG_ERR];
    r->fault_address = (uint64_t)g[REG_CR2];
    r->rip = (uint64_t)g[REG_RIP];
    r->rflags = (uint64_t)g[REG_EFL];
    r->cs = (uint64_t)g[REG_CSGSFS] & 0xffff;
    for (int i = 0; i < 16; i++) r->gpr[i] = (uint64_t)g[greg_of[i]];
    memcpy(r->fx, uc->uc_mcontext.fpregs, 464);
    /* A component in its initial state is not written by the kernel's XSAVEOPT: give its initial values. */
    const uint8_t *fx = (const uint8_t *)uc->uc_mcontext.fpregs;
    uint32_t magic;
    uint64_t bv = 3;
    memcpy(&magic, fx + 464, 4);
    if (magic == 0x46505853) memcpy(&bv, fx + 512, 8);
    if (!(bv & 1)) {
        memset(r->fx, 0, 24);
        r->fx[0] = 0x7f, r->fx[1] = 0x03;
        memset(r->fx + 32, 0, 128);
    }
    if (!(bv & 2)) memset(r->fx + 160, 0, 256);
    results_used += sizeof *r;

    const uint64_t *now = (const uint64_t *)data_alias;
    for (uint32_t i = 0; i < (WINDOW_SIZE + READONLY_SIZE) / 8; i++) {
        if (now[i] == before[i]) continue;
        struct change *w = (struct change *)(results + results_used);
        w->offset = i * 8;
        memcpy(w->value, &now[i], 8);
        results_used += sizeof *w;
        r->changed++;
    }
}

/* Called by `on_signal` with alignment checks off. */
__attribute__((used)) static void handle(int signo, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    (void)info;
    if (!running) {
        if (signo == SIGPROF) return;
        if (signo != SIGTRAP) _exit(99);
        memcpy(home_gregs, uc->uc_mcontext.gregs, sizeof home_gregs);
        memcpy(home_fx, uc->uc_mcontext.fpregs, 464);
        running = 1;
        current = 0;
        load_case(uc, &cases[0]);
        return;
    }
    if (signo == SIGPROF && last_tick_case != current) { /* only a case that saw two ticks is stuck */
        last_tick_case = current;
        return;
    }
    store_result(uc, signo);
    if (++current < case_count) {
        load_case(uc, &cases[current]);
        return;
    }
    running = 0;
    memcpy(uc->uc_mcontext.gregs, home_gregs, sizeof home_gregs);
    memcpy(uc->uc_mcontext.fpregs, home_fx, 464);
}

/*
 * The kernel keeps EFLAGS.AC, NT and ID for handlers, and returns to a case with the handler's NT and ID: clear them, AC
 * before compiled code touches anything unaligned.
 */
__asm__(".globl on_signal\n"
        "on_signal:\n"
        "  pushfq\n"
        "  andl $~0x244000, (%rsp)\n"
        "  popfq\n"
        "  jmp handle\n");
void on_signal(int, siginfo_t *, void *);

static int read_all(void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(0, (uint8_t *)to + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        done += (size_t)got;
    }
    return 1;
}

static void write_all(const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = write(1, (const uint8_t *)from + done, n - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) exit(1);
        done += (size_t)put;
    }
}

static void *must(void *p)
{
    if (p == MAP_FAILED) {
        perror("hostexec: mmap");
        exit(2);
    }
    return p;
}

/* Populated, so that a fault's error code is the processor's and not the kernel's demand paging. */
static void map_areas(void)
{
    int code_fd = memfd_create("code", 0), data_fd = memfd_create("data", 0);
    if (ftruncate(code_fd, CODE_SIZE) || ftruncate(data_fd, WINDOW_SIZE + READONLY_SIZE)) exit(2);
    must(mmap((void *)CODE, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, code_fd, 0));
    must(mmap((void *)WINDOW, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, data_fd, 0));
    must(mmap((void *)(WINDOW + WINDOW_SIZE), READONLY_SIZE, PROT_READ,
              MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, data_fd, WINDOW_SIZE));
    code_alias = must(mmap(0, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, code_fd, 0));
    data_alias = must(mmap(0, WINDOW_SIZE + READONLY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, data_fd, 0));
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--vendor")) {
        unsigned eax, ebx, ecx, edx;
        if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx)) return 1;
        return printf("%.4s%.4s%.4s\n", (char *)&ebx, (char *)&edx, (char *)&ecx) < 0;
    }
    map_areas();
    cases = must(mmap(0, MAX_CASES * sizeof *cases, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    size_t worst = sizeof(struct test_result) + (WINDOW_SIZE + READONLY_SIZE) / 8 * sizeof(struct change);
    results = must(mmap(0, MAX_CASES * worst, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));

    stack_t alternate = {.ss_size = 1 << 18};
    alternate.ss_sp = must(mmap(0, alternate.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (sigaltstack(&alternate, 0)) return 2;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS, SIGPROF};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], &action, 0)) return 2;

    make_segment(0, CODE, 0xffff, MODIFY_LDT_CONTENTS_CODE);
    make_segment(1, WINDOW, 0x2fff, MODIFY_LDT_CONTENTS_DATA);
    make_segment(2, WINDOW, 0x1fff, MODIFY_LDT_CONTENTS_DATA);
    make_segment(3, WINDOW, 0x0fff, MODIFY_LDT_CONTENTS_STACK);
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, WINDOW + 4096)) return 2;

    struct itimerval tick = {{0, 20000}, {0, 20000}}, off = {{0, 0}, {0, 0}};
    uint32_t count;
    while (read_all(&count, sizeof count)) {
        if (count == 0 || count > MAX_CASES || !read_all(cases, count * sizeof *cases)) return 3;
        case_count = count;
        results_used = 0;
        last_tick_case = ~0u;
        setitimer(ITIMER_PROF, &tick, 0);
        __asm__ volatile("int3" ::: "memory", "cc");
        setitimer(ITIMER_PROF, &off, 0);
        write_all(results, results_used);
    }
    return 0;
}
