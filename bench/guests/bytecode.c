/* A bytecode interpreter: a stack machine dispatched by a jump table, counting primes by trial division. */
#include "guest.h"

enum op { PUSH, LOAD, STORE, ADD, MUL, MOD, XOR, SHR, LESS, JUMP, JUMP_IF_ZERO, DUP, HALT };

static u8 program[256];
static u32 end;

static u32 emit(u8 op, u8 operand)
{
    program[end] = op;
    program[end + 1] = operand;
    end += 2;
    return end - 1;
}

/* variable 0: limit, 1: candidate, 2: divisor, 3: primes, 4: checksum */
static void compile(void)
{
    emit(PUSH, 2), emit(STORE, 1);
    u32 outer = end;
    emit(LOAD, 1), emit(LOAD, 0), emit(LESS, 0);
    u32 done = emit(JUMP_IF_ZERO, 0);
    emit(PUSH, 2), emit(STORE, 2);
    u32 inner = end;
    emit(LOAD, 2), emit(DUP, 0), emit(MUL, 0), emit(LOAD, 1), emit(PUSH, 1), emit(ADD, 0), emit(LESS, 0);
    u32 prime = emit(JUMP_IF_ZERO, 0);
    emit(LOAD, 1), emit(LOAD, 2), emit(MOD, 0);
    u32 composite = emit(JUMP_IF_ZERO, 0);
    emit(LOAD, 2), emit(PUSH, 1), emit(ADD, 0), emit(STORE, 2), emit(JUMP, (u8)inner);
    program[prime] = (u8)end;
    emit(LOAD, 3), emit(PUSH, 1), emit(ADD, 0), emit(STORE, 3);
    program[composite] = (u8)end;
    emit(LOAD, 4), emit(PUSH, 5), emit(SHR, 0), emit(LOAD, 4), emit(PUSH, 33), emit(MUL, 0), emit(XOR, 0);
    emit(LOAD, 2), emit(ADD, 0), emit(STORE, 4);
    emit(LOAD, 1), emit(PUSH, 1), emit(ADD, 0), emit(STORE, 1), emit(JUMP, (u8)outer);
    program[done] = (u8)end;
    emit(HALT, 0);
}

static __attribute__((noinline)) void run(const u8 *code, u32 *variables)
{
    u32 stack[16], *top = stack; /* the first free slot */
    for (const u8 *pc = code;;) {
        u8 operand = pc[1];
        u8 op = pc[0];
        pc += 2;
        switch (op) {
        case PUSH: *top++ = operand; break;
        case LOAD: *top++ = variables[operand]; break;
        case STORE: variables[operand] = *--top; break;
        case ADD: top--; top[-1] += *top; break;
        case MUL: top--; top[-1] *= *top; break;
        case MOD: top--; top[-1] %= *top; break;
        case XOR: top--; top[-1] ^= *top; break;
        case SHR: top--; top[-1] >>= *top; break;
        case LESS: top--; top[-1] = top[-1] < *top; break;
        case DUP: *top = top[-1]; top++; break;
        case JUMP: pc = code + operand; break;
        case JUMP_IF_ZERO: if (!*--top) pc = code + operand; break;
        default: return;
        }
    }
}

u32 kernel(u32 rep)
{
    u32 variables[8] = { ROUNDS + rep };
    if (end == 0) compile();
    run(program, variables);
    return variables[3] ^ variables[4] << 8;
}
