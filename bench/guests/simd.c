/* SSE2 on 16 KiB: saturating blend, sums of absolute differences, searches, 16-bit products, shuffles, packed floats. */
#include <emmintrin.h>
#include "guest.h"

#define COUNT 1024
static __m128i a[COUNT], b[COUNT], c[COUNT];

static u32 fold(__m128i v)
{
    v = _mm_xor_si128(v, _mm_shuffle_epi32(v, 0x4e));
    v = _mm_xor_si128(v, _mm_shuffle_epi32(v, 0xb1));
    return (u32)_mm_cvtsi128_si32(v);
}

static u32 integers(u32 sum)
{
    __m128i limit = _mm_set1_epi8((char)sum), total = _mm_setzero_si128(), dots = total;
    u32 found = 0;
    for (u32 i = 0; i < COUNT; i++) {
        __m128i x = a[i], y = b[i];
        __m128i low = _mm_unpacklo_epi8(x, y), high = _mm_unpackhi_epi8(x, y);
        __m128i blend = _mm_packus_epi16(_mm_srli_epi16(_mm_add_epi16(low, high), 1), _mm_srli_epi16(high, 4));
        total = _mm_add_epi64(total, _mm_sad_epu8(x, y));
        dots = _mm_add_epi32(dots, _mm_madd_epi16(low, _mm_mullo_epi16(high, y)));
        found += (u32)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(x, limit), y));
        c[i] = _mm_adds_epu8(_mm_subs_epu8(blend, x), _mm_avg_epu8(y, limit));
    }
    return fold(total) ^ fold(dots) ^ found;
}

static u32 floats(u32 sum)
{
    __m128 scale = _mm_set1_ps((float)(sum & 255) / 256), acc = _mm_setzero_ps();
    for (u32 i = 0; i < COUNT; i++) {
        __m128 x = _mm_cvtepi32_ps(_mm_srli_epi32(a[i], 8)), y = _mm_cvtepi32_ps(_mm_srli_epi32(c[i], 8));
        acc = _mm_add_ps(_mm_mul_ps(x, scale), _mm_sub_ps(_mm_max_ps(x, y), _mm_mul_ps(acc, scale)));
        b[i] = _mm_xor_si128(b[i], _mm_cvttps_epi32(_mm_mul_ps(acc, _mm_set1_ps(1.0f / 1024))));
    }
    return fold(_mm_castps_si128(acc));
}

u32 kernel(u32 rep)
{
    u32 seed = rep, sum = rep;
    for (u32 i = 0; i < COUNT * 4; i++) {
        ((u32 *)a)[i] = next_random(&seed) * 2654435761u;
        ((u32 *)b)[i] = next_random(&seed) * 2654435761u;
    }
    for (u32 round = 0; round < ROUNDS; round++) {
        sum = sum * 31 + integers(sum);
        sum = sum * 31 + floats(sum);
    }
    return sum;
}
