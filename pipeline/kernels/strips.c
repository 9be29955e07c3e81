#include "kernels.h"

/* The pixels nearest to points t[i] along and s[i][j] across a line through x, y; NaN outside of the image, and in bins
   (of bin x bin pixels) that are masked. s: double[number][across], or one row for all (step 0 instead of across). */
KERNEL void strip_pixels(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, const uint8_t *restrict masked,
                         ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t bin, double x, double y, double cosine, double sine,
                         const double *restrict t, ptrdiff_t number, const double *restrict s, ptrdiff_t across,
                         ptrdiff_t step, float *restrict values) {
    for (ptrdiff_t i = 0; i < number; i++) {
        const double x0 = x + t[i] * cosine, y0 = y + t[i] * sine;
        for (ptrdiff_t j = 0; j < across; j++) {
            const double off = s[i * step + j];
            const double px = nearbyint(x0 - off * sine), py = nearbyint(y0 + off * cosine);
            float value = NAN;
            if (px >= 0.0 && px < (double)nx && py >= 0.0 && py < (double)ny) {
                const ptrdiff_t column = (ptrdiff_t)px, row = (ptrdiff_t)py;
                const ptrdiff_t bin_at = lesser(row / bin, rows - 1) * columns + lesser(column / bin, columns - 1);
                if (!masked[bin_at]) value = image[row * nx + column];
            }
            values[i * across + j] = value;
        }
    }
}
