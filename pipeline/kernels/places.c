#include "kernels.h"

enum { WIDE = 64, WORDS = 8 };  /* bytes that are looked at together, for most are 0; as words */

/* Flat indices of the bytes that have one of some bits; returns how many there are, `most` of which are kept. */
KERNEL ptrdiff_t marked_places(const uint8_t *restrict marks, ptrdiff_t number, uint8_t bits, ptrdiff_t most,
                               int64_t *restrict place) {
    ptrdiff_t found = 0;
    for (ptrdiff_t start = 0; start < number; start += WIDE) {
        const ptrdiff_t stop = lesser(start + WIDE, number);
        if (stop - start == WIDE) {
            uint64_t any = 0, words[WORDS];
            __builtin_memcpy(words, marks + start, WIDE);
            for (int k = 0; k < WORDS; k++) any |= words[k];
            if (!any) continue;
        }
        for (ptrdiff_t k = start; k < stop; k++)
            if (marks[k] & bits) {
                if (found < most) place[found] = k;
                found++;
            }
    }
    return found;
}

/* Flat indices of the pixels that have no value; as `marked_places`. */
KERNEL ptrdiff_t nan_places(const float *restrict image, ptrdiff_t number, ptrdiff_t most, int64_t *restrict place) {
    ptrdiff_t found = 0;
    for (ptrdiff_t start = 0; start < number; start += WIDE) {
        const ptrdiff_t stop = lesser(start + WIDE, number);
        int any = 0;
        if (stop - start == WIDE)
            for (int k = 0; k < WIDE; k++) any |= image[start + k] != image[start + k];
        else
            for (ptrdiff_t k = start; k < stop; k++) any |= image[k] != image[k];
        if (!any) continue;
        for (ptrdiff_t k = start; k < stop; k++)
            if (image[k] != image[k]) {
                if (found < most) place[found] = k;
                found++;
            }
    }
    return found;
}

/* Flat indices of the values at and above a level; as `marked_places`. */
#define REACHING(NAME, TYPE)                                                                                   \
    KERNEL ptrdiff_t NAME(const TYPE *restrict values, ptrdiff_t number, TYPE level, ptrdiff_t most,           \
                          int64_t *restrict place) {                                                           \
        ptrdiff_t found = 0;                                                                                   \
        for (ptrdiff_t start = 0; start < number; start += WIDE) {                                             \
            const ptrdiff_t stop = lesser(start + WIDE, number);                                               \
            int any = 0;                                                                                       \
            if (stop - start == WIDE)                                                                          \
                for (int k = 0; k < WIDE; k++) any |= values[start + k] >= level;                              \
            else                                                                                               \
                for (ptrdiff_t k = start; k < stop; k++) any |= values[k] >= level;                            \
            if (!any) continue;                                                                                \
            for (ptrdiff_t k = start; k < stop; k++)                                                           \
                if (values[k] >= level) {                                                                      \
                    if (found < most) place[found] = k;                                                        \
                    found++;                                                                                   \
                }                                                                                              \
        }                                                                                                      \
        return found;                                                                                          \
    }

REACHING(reaching_uint16, uint16_t)
REACHING(reaching_float32, float)
