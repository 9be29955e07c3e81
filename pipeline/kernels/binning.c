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
