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

/* Flat indices of the values for which a test is true; as `marked_places`. */
#define PLACES(NAME, TEST, ...)                                                                                   \
    KERNEL ptrdiff_t NAME(__VA_ARGS__, ptrdiff_t number, ptrdiff_t most, int64_t *restrict place) {               \
        ptrdiff_t found = 0;                                                                                      \
        for (ptrdiff_t start = 0; start < number; start += WIDE) {                                                \
            const ptrdiff_t stop = lesser(start + WIDE, number);                                                  \
            int any = 0;                                                                                          \
            if (stop - start == WIDE) /* which the compiler does at once */                                       \
                for (ptrdiff_t k = start; k < start + WIDE; k++) any |= TEST;                                     \
            else                                                                                                  \
                for (ptrdiff_t k = start; k < stop; k++) any |= TEST;                                             \
            if (!any) continue;                                                                                   \
            for (ptrdiff_t k = start; k < stop; k++)                                                              \
                if (TEST) {                                                                                       \
                    if (found < most) place[found] = k;                                                           \
                    found++;                                                                                      \
                }                                                                                                 \
        }                                                                                                         \
        return found;                                                                                             \
    }

PLACES(nan_places, image[k] != image[k], const float *restrict image)
PLACES(reaching_uint16, values[k] >= level, const uint16_t *restrict values, uint16_t level)
PLACES(reaching_float32, values[k] >= level, const float *restrict values, float level)
