/* Sorting 20,000 numbers: quicksort with insertion sort below 12, and heapsort; branches nobody can predict. */
#include "guest.h"

#define COUNT 20000
static u32 values[COUNT];

static void insertion_sort(u32 *v, s32 n)
{
    for (s32 i = 1; i < n; i++) {
        u32 x = v[i];
        s32 j = i;
        while (j > 0 && v[j - 1] > x) {
            v[j] = v[j - 1];
            j--;
        }
        v[j] = x;
    }
}

static void quick_sort(u32 *v, s32 n)
{
    while (n > 12) {
        u32 a = v[0], b = v[n / 2], c = v[n - 1];
        u32 pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        s32 i = 0, j = n - 1;
        while (i <= j) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i <= j) {
                u32 swap = v[i];
                v[i++] = v[j];
                v[j--] = swap;
            }
        }
        quick_sort(v, j + 1);
        v += i;
        n -= i;
    }
    insertion_sort(v, n);
}

static void sift(u32 *v, u32 at, u32 n)
{
    u32 x = v[at];
    for (u32 child; (child = at * 2 + 1) < n; at = child) {
        if (child + 1 < n && v[child + 1] > v[child]) child++;
        if (v[child] <= x) break;
        v[at] = v[child];
    }
    v[at] = x;
}

static void heap_sort(u32 *v, u32 n)
{
    for (u32 i = n / 2; i-- > 0;) sift(v, i, n);
    for (u32 end = n - 1; end > 0; end--) {
        u32 swap = v[0];
        v[0] = v[end];
        v[end] = swap;
        sift(v, 0, end);
    }
}

static void fill(u32 seed)
{
    for (u32 i = 0; i < COUNT; i++) values[i] = next_random(&seed);
}

static u32 digest(u32 sum)
{
    for (u32 i = 1; i < COUNT; i++) sum = sum * 31 + values[i] + (values[i - 1] > values[i]) * 77777;
    return sum;
}

u32 kernel(u32 rep)
{
    u32 sum = rep;
    for (u32 round = 0; round < ROUNDS; round++) {
        fill(sum);
        quick_sort(values, COUNT);
        sum = digest(sum);
        fill(sum);
        heap_sort(values, COUNT);
        sum = digest(sum);
    }
    return sum;
}
