#include "kernels.h"

/* Sums of size x size pixels, row by row and then along the row; sums: float[ny / size][nx / size]. */
KERNEL void binned_sums(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, ptrdiff_t size, float *restrict row,
                        float *restrict sums) {
    const ptrdiff_t rows = ny / size, columns = nx / size;
    for (ptrdiff_t y = 0; y < rows; y++) {
        const float *fine = image + y * size * nx;
        float *sum = sums + y * columns;
        if (size == 2) {  /* most frames: one pass that the compiler knows the step of */
            for (ptrdiff_t x = 0; x < columns; x++)
                sum[x] = (fine[2 * x] + fine[nx + 2 * x]) + (fine[2 * x + 1] + fine[nx + 2 * x + 1]);
            continue;
        }
        for (ptrdiff_t x = 0; x < nx; x++) row[x] = fine[x];
        for (ptrdiff_t k = 1; k < size; k++)
            for (ptrdiff_t x = 0; x < nx; x++) row[x] += fine[k * nx + x];
        for (ptrdiff_t x = 0; x < columns; x++) {
            float total = row[x * size];
            for (ptrdiff_t k = 1; k < size; k++) total += row[x * size + k];
            sum[x] = total;
        }
    }
}

/* The coarse pixel before the middle of a fine one, counted from one that precedes the first, and the share of the next. */
static inline ptrdiff_t coarse_place(ptrdiff_t fine, ptrdiff_t size, float *share) {
    const double place = ((double)fine + 0.5) / (double)size + 0.5;
    const ptrdiff_t before = (ptrdiff_t)place;
    *share = (float)(place - (double)before);
    return before;
}

static inline float between(const float *coarse, ptrdiff_t before, float share) {
    return coarse[before - 1] + (coarse[before] - coarse[before - 1]) * share;
}

/* row: float[nx], of a coarse row at the middles of fine pixels; beyond the outermost centres it goes on level. */
static inline void enlarge_row(const float *restrict coarse, ptrdiff_t columns, ptrdiff_t size, ptrdiff_t nx,
                               float *restrict row) {
    const ptrdiff_t half = size / 2, middle = (columns - 1) * size + half;
    for (ptrdiff_t x = 0; x < lesser(half, nx); x++) row[x] = coarse[0];
    for (ptrdiff_t k = 0; k < size; k++) {
        float share;
        const ptrdiff_t before = coarse_place(half + k, size, &share);
        for (ptrdiff_t column = 0; column < columns - 1; column++)
            row[half + k + column * size] = between(coarse + column, before, share);
    }
    for (ptrdiff_t x = middle; x < nx; x++) row[x] = coarse[columns - 1];
}

/* image -= coarse, linear between the centres of its pixels; rows: float[2][nx], to work in. */
KERNEL void subtract_enlarged(float *restrict image, ptrdiff_t ny, ptrdiff_t nx, const float *restrict coarse,
                              ptrdiff_t coarse_ny, ptrdiff_t coarse_nx, ptrdiff_t size, float *restrict rows) {
    float *above = rows, *below = rows + nx;
    ptrdiff_t known = -1;  /* place that `above` and `below` are enlarged for */
    for (ptrdiff_t y = 0; y < ny; y++) {
        float share;
        const ptrdiff_t before = coarse_place(y, size, &share);
        if (before != known) {
            const ptrdiff_t first = greater(lesser(before, coarse_ny) - 1, 0), second = lesser(before, coarse_ny - 1);
            if (before == known + 1 && known >= 0) {
                float *kept = above;
                above = below;
                below = kept;
            } else {
                enlarge_row(coarse + first * coarse_nx, coarse_nx, size, nx, above);
            }
            enlarge_row(coarse + second * coarse_nx, coarse_nx, size, nx, below);
            known = before;
        }
        float *fine = image + y * nx;
        const float rest = 1.0f - share;
        for (ptrdiff_t x = 0; x < nx; x++) fine[x] -= rest * above[x] + share * below[x];
    }
}
