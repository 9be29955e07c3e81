#include "kernels.h"

enum { TOGETHER = 4 };  /* sums that are made at once: one alone would wait for its last addition */

/* A stamp with what is read beyond its end, so that whole registers can be read at each place of it. */
static inline void copy_stamp(const float *restrict stamp, ptrdiff_t pixels, float *restrict copy) {
    for (ptrdiff_t i = 0; i < pixels; i++) copy[i] = stamp[i];
    for (ptrdiff_t i = pixels; i < pixels + REGISTER; i++) copy[i] = 0.0f;
}

/* light[n][high][wide] += sums over the taps of weights[n][taps] times the template beside each pixel.

   stamps: float[n][high + 2 border][wide + 2 border]; taps: those within `reach` of a pixel, row by row, reach <= border.
   A row of a stamp follows the one before it: all rows are gone through as one, with a few pixels between that nobody
   wants. work: float[(high + 2 border)(wide + 2 border) + REGISTER] and float[the same]. */
KERNEL void add_taps(const float *restrict stamps, ptrdiff_t number, ptrdiff_t high, ptrdiff_t wide, ptrdiff_t border,
                     ptrdiff_t reach, const float *restrict weights, float *restrict work, float *restrict light) {
    const ptrdiff_t across = wide + 2 * border, pixels = (high + 2 * border) * across, length = (high - 1) * across + wide;
    const ptrdiff_t side = 2 * reach + 1, first = (border - reach) * across + border - reach;
    float *copy = work, *sums = work + pixels + REGISTER;
    for (ptrdiff_t star = 0; star < number; star++) {
        copy_stamp(stamps + star * pixels, pixels, copy);
        for (ptrdiff_t p = 0; p < length; p += REGISTER) {
            Register sum = {0};
            for (ptrdiff_t dy = 0; dy < side; dy++)
                for (ptrdiff_t dx = 0; dx < side; dx++) {
                    Register tap;
                    LOAD(tap, copy + first + dy * across + dx + p);
                    sum += tap * weights[(star * side + dy) * side + dx];
                }
            STORE(sum, sums + p);
        }
        for (ptrdiff_t y = 0; y < high; y++)
            for (ptrdiff_t x = 0; x < wide; x++) light[(star * high + y) * wide + x] += sums[y * across + x];
    }
}

/* Of each stamp: products of the taps with one another and with `right`, summed over the pixels with weights.

   stamps, high, wide, border, reach: as of `add_taps`; weights, right: float[n][high][wide]; grams: float[n][taps][taps];
   sums: float[n][taps]; work: float[4][(high + 2 border)(wide + 2 border) + REGISTER]. */
KERNEL void tap_grams(const float *restrict stamps, ptrdiff_t number, ptrdiff_t high, ptrdiff_t wide, ptrdiff_t border,
                      ptrdiff_t reach, const float *restrict weights, const float *restrict right, float *restrict work,
                      float *restrict grams, float *restrict sums) {
    const ptrdiff_t across = wide + 2 * border, pixels = (high + 2 * border) * across, length = (high - 1) * across + wide;
    const ptrdiff_t side = 2 * reach + 1, taps = side * side, first = (border - reach) * across + border - reach;
    float *copy = work, *weight = copy + pixels + REGISTER, *wanted = weight + pixels + REGISTER;
    float *weighted = wanted + pixels + REGISTER;
    for (ptrdiff_t i = 0; i < pixels + REGISTER; i++) weight[i] = wanted[i] = 0.0f;  /* what lies between rows stays so */
    for (ptrdiff_t star = 0; star < number; star++) {
        copy_stamp(stamps + star * pixels, pixels, copy);
        for (ptrdiff_t y = 0; y < high; y++)
            for (ptrdiff_t x = 0; x < wide; x++) {
                weight[y * across + x] = weights[(star * high + y) * wide + x];
                wanted[y * across + x] = right[(star * high + y) * wide + x];
            }
        for (ptrdiff_t a = 0; a < taps; a++) {
            const float *own = copy + first + a / side * across + a % side;
            Register total = {0};
            for (ptrdiff_t p = 0; p < length; p += REGISTER) {
                Register one, other;
                LOAD(one, own + p);
                LOAD(other, weight + p);
                one *= other;
                STORE(one, weighted + p);
                LOAD(other, wanted + p);
                total += one * other;
            }
            float sum = 0.0f;
            for (int k = 0; k < REGISTER; k++) sum += total[k];
            sums[star * taps + a] = sum;
            float *const gram = grams + star * taps * taps;
            for (ptrdiff_t start = a; start < taps; start += TOGETHER) {
                const float *beside[TOGETHER];
                Register products[TOGETHER] = {{0}};
                for (ptrdiff_t k = 0; k < TOGETHER; k++) {
                    const ptrdiff_t b = lesser(start + k, taps - 1);
                    beside[k] = copy + first + b / side * across + b % side;
                }
                for (ptrdiff_t p = 0; p < length; p += REGISTER) {
                    Register one, other;
                    LOAD(one, weighted + p);
                    for (int k = 0; k < TOGETHER; k++) {
                        LOAD(other, beside[k] + p);
                        products[k] += one * other;
                    }
                }
                for (ptrdiff_t k = 0; k < TOGETHER && start + k < taps; k++) {
                    float product = 0.0f;
                    for (int lane = 0; lane < REGISTER; lane++) product += products[k][lane];
                    gram[a * taps + start + k] = gram[(start + k) * taps + a] = product;
                }
            }
        }
    }
}
