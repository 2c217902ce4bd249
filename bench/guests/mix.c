/*
 * An integer mix in the proportions of embedded code: linked list search, reversal and merge sort; 16-bit matrix
 * products; a number-recognising state machine over text; CRC-16 over everything computed.
 */
#include "guest.h"

/* ---- CRC-16 (polynomial 0xa001, reflected), bit by bit ---- */
static u16 crc_byte(u16 crc, u8 byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
    return crc;
}

static u16 crc_u32(u16 crc, u32 value)
{
    for (int i = 0; i < 4; i++, value >>= 8) crc = crc_byte(crc, (u8)value);
    return crc;
}

/* ---- linked list ---- */
#define NODES 300
struct node {
    struct node *next;
    s16 key, index;
};
static struct node pool[NODES];

static struct node *list_build(u32 seed)
{
    for (u32 i = 0; i < NODES; i++) {
        /* Neighbours in the list are strangers in memory: 300 and 77 are coprime. */
        struct node *n = &pool[i * 77 % NODES];
        n->key = (s16)(next_random(&seed) & 0x3ff);
        n->index = (s16)i;
        n->next = i + 1 < NODES ? &pool[(i + 1) * 77 % NODES] : 0;
    }
    return &pool[0];
}

static struct node *list_reverse(struct node *list)
{
    struct node *done = 0;
    while (list) {
        struct node *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static const struct node *list_find(const struct node *list, s16 key)
{
    while (list && list->key != key) list = list->next;
    return list;
}

typedef s32 (*compare_fn)(const struct node *, const struct node *);
static s32 by_key(const struct node *a, const struct node *b) { return a->key - b->key; }
static s32 by_index(const struct node *a, const struct node *b) { return a->index - b->index; }

/* Bottom-up merge sort, stable; the comparison is called through a pointer. */
static struct node *list_sort(struct node *list, compare_fn compare)
{
    for (u32 width = 1;; width *= 2) {
        struct node *rest = list, *head = 0, **tail = &head;
        u32 merges = 0;
        while (rest) {
            struct node *left = rest, *right = rest;
            u32 left_count = 0, right_count = width;
            merges++;
            while (left_count < width && right) left_count++, right = right->next;
            while (left_count || (right_count && right)) {
                struct node *taken;
                if (left_count && (!right_count || !right || compare(left, right) <= 0)) {
                    taken = left;
                    left = left->next;
                    left_count--;
                } else {
                    taken = right;
                    right = right->next;
                    right_count--;
                }
                *tail = taken;
                tail = &taken->next;
            }
            rest = right;
        }
        *tail = 0;
        list = head;
        if (merges <= 1) return list;
    }
}

static u16 list_work(u16 crc, u32 seed)
{
    struct node *list = list_build(seed);
    for (s16 key = 0; key < 60; key++) {
        const struct node *found = list_find(list, key * 17);
        crc = crc_byte(crc, found ? (u8)found->index : 0xff);
        if (key % 8 == 0) list = list_reverse(list);
    }
    list = list_sort(list, by_key);
    crc = crc_u32(crc, (u32)list->key);
    list = list_sort(list, by_index);
    return crc_u32(crc, (u32)list->key);
}

/* ---- matrices ---- */
#define SIDE 24
static s16 matrix_a[SIDE][SIDE], matrix_b[SIDE][SIDE];
static s32 matrix_c[SIDE][SIDE];

static u16 matrix_work(u16 crc, u32 seed)
{
    for (u32 i = 0; i < SIDE; i++) {
        for (u32 j = 0; j < SIDE; j++) {
            matrix_a[i][j] = (s16)next_random(&seed);
            matrix_b[i][j] = (s16)(next_random(&seed) & 0xff);
        }
    }
    for (u32 i = 0; i < SIDE; i++) {
        for (u32 j = 0; j < SIDE; j++) {
            s32 sum = 0;
            for (u32 k = 0; k < SIDE; k++) sum += matrix_a[i][k] * matrix_b[k][j];
            matrix_c[i][j] = sum;
        }
    }
    for (u32 i = 0; i < SIDE; i++) {
        s32 sum = 0, previous = 0;
        for (u32 j = 0; j < SIDE; j++) {
            sum += matrix_c[i][j] > previous ? 10 : (matrix_c[i][j] >> 5) & 0xf;
            previous = matrix_c[i][j];
        }
        crc = crc_u32(crc, (u32)sum);
    }
    return crc;
}

/* ---- state machine ---- */
enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, EXPONENT_DIGITS, INVALID, STATES };
static char text[] = "5012,-374,+7777,1.5e3,-110.700,0x12,9e-9,.25,12-,1e+04,T0.5,--1,65535,3.14159,+.e,0.0,-1234.5e+6,77e,";
static u32 visits[STATES];

static enum state step(enum state s, char c)
{
    int digit = c >= '0' && c <= '9';
    visits[s]++;
    switch (s) {
    case START: return digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : INVALID;
    case SIGN: return digit ? INTEGER : c == '.' ? POINT : INVALID;
    case INTEGER: return digit ? INTEGER : c == '.' ? FRACTION : c == 'e' ? EXPONENT : INVALID;
    case POINT: return digit ? FRACTION : INVALID;
    case FRACTION: return digit ? FRACTION : c == 'e' ? EXPONENT : INVALID;
    case EXPONENT: return digit ? EXPONENT_DIGITS : c == '+' || c == '-' ? EXPONENT_SIGN : INVALID;
    case EXPONENT_SIGN:
    case EXPONENT_DIGITS: return digit ? EXPONENT_DIGITS : INVALID;
    default: return INVALID;
    }
}

static u16 state_work(u16 crc, u32 seed)
{
    for (u32 pass = 0; pass < 4; pass++) {
        enum state s = START;
        for (const char *p = text; *p; p++) {
            if (*p == ',') {
                crc = crc_byte(crc, (u8)s);
                s = START;
            } else {
                s = step(s, *p);
            }
        }
        /* Flip one bit of one character, so that no two passes read the same text. */
        u32 at = next_random(&seed) % (sizeof text - 2);
        if (text[at] != ',') text[at] ^= 1;
    }
    for (u32 i = 0; i < STATES; i++) crc = crc_u32(crc, visits[i]);
    return crc;
}

u32 kernel(u32 rep)
{
    u16 crc = (u16)rep;
    for (u32 round = 0; round < ROUNDS; round++) {
        crc = list_work(crc, round * 7 + rep);
        crc = matrix_work(crc, crc);
        crc = state_work(crc, crc);
    }
    return crc;
}
