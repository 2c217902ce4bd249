/* The Mandelbrot set in doubles: 96 x 64 points, at most 200 steps each. Built once for SSE2 and once for x87. */
#include "guest.h"

u32 kernel(u32 rep)
{
    u32 sum = rep;
    for (u32 round = 0; round < ROUNDS; round++) {
        for (s32 y = 0; y < 64; y++) {
            for (s32 x = 0; x < 96; x++) {
                double cr = (x - 64 - (s32)rep) / 32.0, ci = (y - 32) / 28.0, zr = 0, zi = 0;
                u32 steps = 0;
                while (steps < 200) {
                    double rr = zr * zr, ii = zi * zi;
                    if (rr + ii > 4.0) break;
                    zi = 2 * zr * zi + ci;
                    zr = rr - ii + cr;
                    steps++;
                }
                sum = sum * 31 + steps;
            }
        }
    }
    return sum;
}
