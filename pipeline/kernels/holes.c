#include "kernels.h"

/* What the eight neighbours of pixels (flat indices) say of their values: of eight good ones the surface through them that
   is quadratic in x and in y, (2 sides - corners) / 4, of fewer their mean, of none NaN. masked: uint8[ny][nx], pixels
   with one of `bits` are not good. */
KERNEL void from_neighbours(const float *restrict image, const uint8_t *restrict masked, ptrdiff_t ny, ptrdiff_t nx,
                            uint8_t bits, const int64_t *restrict where, ptrdiff_t number, double *restrict found) {
    for (ptrdiff_t k = 0; k < number; k++) {
        const ptrdiff_t row = where[k] / nx, column = where[k] % nx;
        double sides = 0.0, corners = 0.0;
        int good = 0;
        for (ptrdiff_t y = greater(row - 1, 0); y <= lesser(row + 1, ny - 1); y++)
            for (ptrdiff_t x = greater(column - 1, 0); x <= lesser(column + 1, nx - 1); x++) {
                if ((y == row && x == column) || (masked[y * nx + x] & bits)) continue;
                if (y == row || x == column)
                    sides += (double)image[y * nx + x];
                else
                    corners += (double)image[y * nx + x];
                good++;
            }
        found[k] = good == 8 ? (2.0 * sides - corners) / 4.0 : good > 0 ? (sides + corners) / (double)good : NAN;
    }
}
