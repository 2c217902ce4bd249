/* Pointer chase: one cycle through 4 MiB in random order, a load depending on the one before, 1024 pages. */
#include "guest.h"

#define NODES (1 << 18)
static struct node {
    struct node *next;
    u32 value;
} nodes[NODES] __attribute__((aligned(4096)));
static u32 order[NODES];

u32 kernel(u32 rep)
{
    static struct node *at;
    if (!at) {
        u32 seed = 1;
        for (u32 i = 0; i < NODES; i++) order[i] = i;
        for (u32 i = NODES - 1; i > 0; i--) {
            u32 j = next_random(&seed) % (i + 1), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        for (u32 i = 0; i < NODES; i++) {
            nodes[order[i]].next = &nodes[order[(i + 1) & (NODES - 1)]];
            nodes[order[i]].value = i * 2654435761u;
        }
        at = nodes;
    }
    u32 sum = rep;
    for (u32 i = 0; i < ROUNDS; i++) {
        sum = sum + at->value;
        at = at->next;
    }
    return sum;
}
