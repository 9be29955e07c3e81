#include "kernels.h"

enum { CHUNK = 2048 };  /* pixels that stay in the nearest cache from one operation to the next */

/* image = (raw - bias - dark * exposure) / flat, NaN where the flat is not positive; masters may be missing (NULL). */
#define CALIBRATED(NAME, TYPE)                                                                                          \
    KERNEL void NAME(const TYPE *restrict raw, ptrdiff_t number, const float *restrict bias, const float *restrict dark, \
                     float exposure, const float *restrict flat, float *restrict image) {                               \
        for (ptrdiff_t start = 0; start < number; start += CHUNK) {                                                     \
            const ptrdiff_t stop = lesser(start + CHUNK, number);                                                       \
            if (bias)                                                                                                   \
                for (ptrdiff_t k = start; k < stop; k++) image[k] = (float)raw[k] - bias[k];                            \
            else                                                                                                        \
                for (ptrdiff_t k = start; k < stop; k++) image[k] = (float)raw[k];                                      \
            if (dark)                                                                                                   \
                for (ptrdiff_t k = start; k < stop; k++) image[k] -= dark[k] * exposure;                                \
            if (flat)                                                                                                   \
                for (ptrdiff_t k = start; k < stop; k++) image[k] = flat[k] > 0.0f ? image[k] / flat[k] : NAN;          \
        }                                                                                                               \
    }

CALIBRATED(calibrated_of_uint16, uint16_t)
CALIBRATED(calibrated_of_float32, float)
