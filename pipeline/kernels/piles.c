#include "kernels.h"

enum {
    CHUNK = 256,  /* pixels that are looked at together: a pile of many images of them stays in the nearest caches */
    LANES = 8,
};

/* Median of each pixel of a pile of images, NaN where one of them has no value.

   values: float[number][pixels]; pairs: int32[comparisons][2], that sort `number` values; work: float[number][CHUNK]. */
KERNEL void pile_medians(const float *restrict values, ptrdiff_t number, ptrdiff_t pixels, const int32_t *restrict pairs,
                         ptrdiff_t comparisons, float *restrict work, float *restrict median) {
    const float *const low = work + (number - 1) / 2 * CHUNK, *const high = work + number / 2 * CHUNK;
    for (ptrdiff_t start = 0; start < pixels; start += CHUNK) {
        const ptrdiff_t size = lesser(CHUNK, pixels - start);
        float *const found = median + start;
        for (ptrdiff_t k = 0; k < size; k++) found[k] = 0.0f;
        for (ptrdiff_t i = 0; i < number; i++)
            for (ptrdiff_t k = 0; k < size; k++) {
                const float value = values[i * pixels + start + k];
                work[i * CHUNK + k] = value;
                found[k] = value == value ? found[k] : value;
            }
        for (ptrdiff_t n = 0; n < comparisons; n++) {
            float *const one = work + pairs[2 * n] * CHUNK, *const two = work + pairs[2 * n + 1] * CHUNK;
            for (ptrdiff_t k = 0; k < size; k++) {
                const float a = one[k], b = two[k];
                one[k] = a < b ? a : b;
                two[k] = a < b ? b : a;
            }
        }
        for (ptrdiff_t k = 0; k < size; k++)
            if (found[k] == found[k]) found[k] = number % 2 ? low[k] : (low[k] + high[k]) / 2.0f;
    }
}

/* Weighted mean of the values of each pixel that lie within limits[i] of the median and image i's centre; the median where
   none does. work: float[CHUNK]. */
KERNEL void pile_clipped(const float *restrict values, ptrdiff_t number, ptrdiff_t pixels, const float *restrict median,
                         const float *restrict weights, const float *restrict centres, const float *restrict limits,
                         float *restrict work, float *restrict mean) {
    for (ptrdiff_t start = 0; start < pixels; start += CHUNK) {
        const ptrdiff_t size = lesser(CHUNK, pixels - start);
        const float *const middle = median + start;
        float *const total = mean + start;
        for (ptrdiff_t k = 0; k < size; k++) total[k] = work[k] = 0.0f;
        for (ptrdiff_t i = 0; i < number; i++) {
            const float share = weights[i], centre = centres[i], limit = limits[i];
            for (ptrdiff_t k = 0; k < size; k++) {
                const float value = values[i * pixels + start + k];
                const int kept = fabsf(value - middle[k] - centre) <= limit;
                total[k] += kept ? value * share : 0.0f;
                work[k] += kept ? share : 0.0f;
            }
        }
        for (ptrdiff_t k = 0; k < size; k++) total[k] = work[k] > 0.0f ? total[k] / work[k] : middle[k];
    }
}

/* Mean of the values of one pixel without the highest, if it stands out of the others by `clip` sigma; else `plain`. */
static inline float without_highest(const float *restrict values, ptrdiff_t number, ptrdiff_t apart, float noise, float clip,
                                    float plain, float *restrict sorted) {
    for (ptrdiff_t i = 0; i < number; i++) {
        ptrdiff_t k = i;
        for (; k > 0 && sorted[k - 1] > values[i * apart]; k--) sorted[k] = sorted[k - 1];
        sorted[k] = values[i * apart];
    }
    const float others = (float)(number - 1);
    float sum = sorted[0];
    for (ptrdiff_t k = 1; k < number - 1; k++) sum += sorted[k];
    const float mean = sum / others;
    float square = (sorted[0] - mean) * (sorted[0] - mean);
    for (ptrdiff_t k = 1; k < number - 1; k++) square += (sorted[k] - mean) * (sorted[k] - mean);
    const float scatter = sqrtf(square / (others - 1.0f)), sigma = noise > scatter ? noise : scatter;
    return sorted[number - 1] - mean > clip * sigma ? mean : plain;
}

/* Means of a pile of three images and more, without the one value of a pixel that stands far above the others.

   limit: by which the highest value exceeds the mean before it is looked at; sums, highest: to work in, CHUNK each; sorted:
   float[number], likewise. */
KERNEL void pile_means(const float *restrict values, ptrdiff_t number, ptrdiff_t pixels, float limit, float noise,
                       float clip, double *restrict sums, float *restrict highest, float *restrict sorted,
                       float *restrict mean) {
    for (ptrdiff_t start = 0; start < pixels; start += CHUNK) {
        const ptrdiff_t size = lesser(CHUNK, pixels - start);
        int any = 0;
        for (ptrdiff_t k = 0; k < size; k++) {
            sums[k] = 0.0;
            highest[k] = -INFINITY;
        }
        for (ptrdiff_t i = 0; i < number; i++)
            for (ptrdiff_t k = 0; k < size; k++) {
                const float value = values[i * pixels + start + k];
                sums[k] += (double)value;
                highest[k] = value > highest[k] ? value : highest[k];
            }
        for (ptrdiff_t k = 0; k < size; k++) {
            mean[start + k] = (float)(sums[k] / (double)number);
            any |= highest[k] - mean[start + k] > limit;
        }
        for (ptrdiff_t k = 0; any && k < size; k++)
            if (highest[k] - mean[start + k] > limit)
                mean[start + k] = without_highest(values + start + k, number, pixels, noise, clip, mean[start + k], sorted);
    }
}

/* Sums of values and of their squares, both about a middle. */
KERNEL void sums_about(const float *restrict values, ptrdiff_t number, double middle, double *restrict sums) {
    double sum[LANES] = {0}, square[LANES] = {0};
    const ptrdiff_t even = number - number % LANES;
    for (ptrdiff_t start = 0; start < even; start += LANES)
        for (int k = 0; k < LANES; k++) {
            const double away = (double)values[start + k] - middle;
            sum[k] += away;
            square[k] += away * away;
        }
    for (ptrdiff_t k = even; k < number; k++) {
        const double away = (double)values[k] - middle;
        sum[k - even] += away;
        square[k - even] += away * away;
    }
    sums[0] = sums[1] = 0.0;
    for (int k = 0; k < LANES; k++) {
        sums[0] += sum[k];
        sums[1] += square[k];
    }
}

/* total += weight * image. */
KERNEL void add_scaled(double *restrict total, const float *restrict image, ptrdiff_t number, double weight) {
    for (ptrdiff_t i = 0; i < number; i++) total[i] += (double)image[i] * weight;
}
