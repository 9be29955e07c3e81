#include "kernels.h"

#define LANES 8

/* Of each group of rows, from starts[g] to starts[g + 1]: products of the columns with one another and with `right`, summed
   with weights. columns: float[rows][width], `width` a multiple of LANES;
   grams: float[groups][width][width]; sums: float[groups][width]. */
KERNEL void group_grams(const float *restrict columns, ptrdiff_t width, const int64_t *restrict starts, ptrdiff_t groups,
                        const float *restrict weights, const float *restrict right, float *restrict grams,
                        float *restrict sums) {
    for (ptrdiff_t group = 0; group < groups; group++) {
        float *gram = grams + group * width * width, *sum = sums + group * width;
        for (ptrdiff_t i = 0; i < width * width; i++) gram[i] = 0.0f;
        for (ptrdiff_t i = 0; i < width; i++) sum[i] = 0.0f;
        for (ptrdiff_t row = starts[group]; row < starts[group + 1]; row++) {
            const float *column = columns + row * width, weighted = weights[row] * right[row];
            for (ptrdiff_t i = 0; i < width; i++) {  /* from the register of the diagonal on */
                const float one = weights[row] * column[i];
                for (ptrdiff_t k = i - i % LANES; k < width; k += LANES)
                    for (ptrdiff_t lane = k; lane < k + LANES; lane++) gram[i * width + lane] += one * column[lane];
            }
            for (ptrdiff_t i = 0; i < width; i++) sum[i] += weighted * column[i];
        }
        for (ptrdiff_t i = 0; i < width; i++)
            for (ptrdiff_t k = 0; k < i; k++) gram[i * width + k] = gram[k * width + i];
    }
}
