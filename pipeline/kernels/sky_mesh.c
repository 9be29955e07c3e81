#include "kernels.h"

#include <float.h>

enum {
    LANES = 8,     /* sums run side by side, so that they are the same in narrow and in wide registers */
    LEVELS = 512,  /* of a box's histogram */
    ROUNDS = 100,  /* of clipping, at most */
    CHUNK = 256,   /* pixels whose levels are found together */
};
static const double REACH = 5.0;  /* sigma to each side of the mean, in the histogram */
static const double FIRST_CLIP = 2.0, CLIP = 3.0;  /* sigma */
static const double SKEWED = 0.3;  /* sigma from mean to median, beyond which a box is crowded */
static const double SETTLED = 1e-4;  /* of sigma, between rounds */
static const double GOOD_SHARE = 0.5;  /* of a box's pixels that must be finite */

typedef struct {
    double number, mean, sigma;
} Moments;

/* Of the pixels of a box between two values. */
static inline Moments moments(const float *restrict box, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride, float low,
                              float high, double pivot) {
    double number[LANES] = {0}, sum[LANES] = {0}, square[LANES] = {0};
    for (ptrdiff_t y = 0; y < rows; y++) {
        const float *row = box + y * stride;
        ptrdiff_t x = 0;
        for (; x + LANES <= columns; x += LANES)
            for (int k = 0; k < LANES; k++) {
                const int counts = row[x + k] >= low && row[x + k] <= high;
                const double value = counts ? (double)row[x + k] - pivot : 0.0;
                number[k] += counts ? 1.0 : 0.0;
                sum[k] += value;
                square[k] += value * value;
            }
        for (int k = 0; x < columns; x++, k++)
            if (row[x] >= low && row[x] <= high) {
                const double value = (double)row[x] - pivot;
                number[k] += 1.0;
                sum[k] += value;
                square[k] += value * value;
            }
    }
    for (int k = 1; k < LANES; k++) {
        number[0] += number[k];
        sum[0] += sum[k];
        square[0] += square[k];
    }
    if (number[0] == 0.0) return (Moments){0.0, pivot, 0.0};
    const double mean = sum[0] / number[0], variance = square[0] / number[0] - mean * mean;
    return (Moments){number[0], pivot + mean, variance > 0.0 ? sqrt(variance) : 0.0};
}

/* The place below which `half` of the counts lie; cumulated[k]: of the levels below k. */
static inline double median_place(const int32_t *cumulated, int low, int high) {
    const double half = 0.5 * ((double)cumulated[low] + (double)cumulated[high + 1]);
    int first = low, last = high;
    while (first < last) {
        const int middle = (first + last) / 2;
        if ((double)cumulated[middle + 1] < half)
            first = middle + 1;
        else
            last = middle;
    }
    const double inside = (double)(cumulated[first + 1] - cumulated[first]);
    return (double)first - 0.5 + (half - (double)cumulated[first]) / inside;
}

/* Mode of a box's histogram, clipped about its median until its scatter settles, in levels. */
static inline double clipped_mode(const int32_t *restrict histogram) {
    int32_t cumulated[LEVELS + 1];
    int64_t first[LEVELS + 1], second[LEVELS + 1];
    cumulated[0] = 0;
    first[0] = second[0] = 0;
    for (int k = 0; k < LEVELS; k++) {
        const int64_t number = histogram[k];
        cumulated[k + 1] = cumulated[k] + histogram[k];
        first[k + 1] = first[k] + number * k;
        second[k + 1] = second[k] + number * k * k;
    }
    int low = 0, high = LEVELS - 1;
    double median = 0.0, mean = 0.0, scatter = 10.0 * LEVELS, before = 1.0;
    for (int round = 0; round < ROUNDS && scatter >= 0.1 && fabs(scatter / before - 1.0) > SETTLED; round++) {
        const double number = (double)(cumulated[high + 1] - cumulated[low]);
        if (number == 0.0) break;
        before = scatter;
        median = median_place(cumulated, low, high);
        mean = (double)(first[high + 1] - first[low]) / number;
        const double variance = (double)(second[high + 1] - second[low]) / number - mean * mean;
        scatter = variance > 0.0 ? sqrt(variance) : 0.0;
        const double least = median - CLIP * scatter, most = median + CLIP * scatter;
        low = least > 0.0 ? (int)(least + 0.5) : 0;
        high = most < LEVELS - 1 ? (int)(most + 0.5) : LEVELS - 1;
    }
    return fabs(mean - median) < SKEWED * scatter ? 2.5 * median - 1.5 * mean : median;
}

static inline void fill_histogram(const float *restrict box, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride,
                                  float zero, float per_level, int32_t *restrict histogram) {
    int32_t place[CHUNK];
    for (int k = 0; k <= LEVELS; k++) histogram[k] = 0;
    for (ptrdiff_t y = 0; y < rows; y++)
        for (ptrdiff_t start = 0; start < columns; start += CHUNK) {
            const float *row = box + y * stride + start;
            const int number = (int)lesser(CHUNK, columns - start);
            for (int k = 0; k < number; k++) {
                const float level = (row[k] - zero) * per_level + 0.5f;
                place[k] = level >= 0.0f && level < (float)LEVELS ? (int32_t)level : LEVELS;
            }
            for (int k = 0; k < number; k++) histogram[place[k]]++;
        }
}

/* levels: float[rows of boxes][columns of boxes], NaN where most of a box is not finite; each box `height` rows by `width`
   pixels. */
KERNEL void box_levels(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, ptrdiff_t height, ptrdiff_t width,
                       float *restrict levels) {
    ptrdiff_t place = 0;
    int32_t histogram[LEVELS + 1];
    for (ptrdiff_t y = 0; y < ny; y += height)
        for (ptrdiff_t x = 0; x < nx; x += width, place++) {
            const float *box = image + y * nx + x;
            const ptrdiff_t rows = lesser(height, ny - y), columns = lesser(width, nx - x);
            levels[place] = NAN;
            const Moments all = moments(box, rows, columns, nx, -FLT_MAX, FLT_MAX, 0.0);
            if (all.number == 0.0 || all.number < GOOD_SHARE * (double)(rows * columns)) continue;
            const float low = (float)(all.mean - FIRST_CLIP * all.sigma), high = (float)(all.mean + FIRST_CLIP * all.sigma);
            const Moments most = moments(box, rows, columns, nx, low, high, all.mean);
            levels[place] = (float)most.mean;
            if (!(most.sigma > 0.0)) continue;
            const float zero = (float)(most.mean - REACH * most.sigma);
            const float per_level = (float)(LEVELS / (2.0 * REACH * most.sigma));
            fill_histogram(box, rows, columns, nx, zero, per_level, histogram);
            levels[place] = (float)((double)zero + clipped_mode(histogram) / (double)per_level);
        }
}

/* Where a pixel lies among the middles of boxes: the one before it, and how far behind that; beyond the outermost
   middles it is behind the first or the last but one. */
static inline ptrdiff_t knot(ptrdiff_t pixel, ptrdiff_t box, ptrdiff_t number, double *behind) {
    const double place = ((double)pixel + 0.5) / (double)box - 0.5;
    const ptrdiff_t before = greater(lesser((ptrdiff_t)floor(place), number - 2), 0);
    *behind = place - (double)before;
    return before;
}

/* image -= the natural bicubic spline through `mesh`, values at the middles of boxes. curvature: double[my][mx], second
   derivatives along y; ratio: double[mx], what is left of a knot's diagonal in the elimination along x; work:
   double[2][mx]. */
KERNEL void subtract_spline(float *restrict image, ptrdiff_t ny, ptrdiff_t nx, const double *restrict mesh,
                            const double *restrict curvature, ptrdiff_t my, ptrdiff_t mx, ptrdiff_t height,
                            ptrdiff_t width, const double *restrict ratio, double *restrict work) {
    double *value = work, *second = work + mx;
    for (ptrdiff_t y = 0; y < ny; y++) {
        double t = 0.0;
        const ptrdiff_t above = my > 1 ? knot(y, height, my, &t) : 0, below = my > 1 ? above + 1 : 0;
        const double s = 1.0 - t, of_above = (s * s * s - s) / 6.0, of_below = (t * t * t - t) / 6.0;
        for (ptrdiff_t x = 0; x < mx; x++)
            value[x] = s * mesh[above * mx + x] + t * mesh[below * mx + x] + of_above * curvature[above * mx + x] +
                       of_below * curvature[below * mx + x];
        second[0] = second[mx - 1] = 0.0;
        for (ptrdiff_t x = 1; x < mx - 1; x++)
            second[x] = (6.0 * (value[x - 1] - 2.0 * value[x] + value[x + 1]) - second[x - 1]) * ratio[x];
        for (ptrdiff_t x = mx - 2; x > 0; x--) second[x] -= ratio[x] * second[x + 1];
        float *row = image + y * nx;
        if (mx == 1) {
            for (ptrdiff_t x = 0; x < nx; x++) row[x] -= (float)value[0];
            continue;
        }
        for (ptrdiff_t left = 0; left < mx - 1; left++) {
            /* From the middle of this box to that of the next; the first and the last go on to the border. */
            const ptrdiff_t start = left ? (2 * left * width + width) / 2 : 0;
            const ptrdiff_t stop = left < mx - 2 ? lesser(nx, (2 * left * width + 3 * width) / 2) : nx;
            const double step = value[left + 1] - value[left];
            const float a = (float)value[left], c = (float)(second[left] / 2.0);
            const float b = (float)(step - second[left] / 3.0 - second[left + 1] / 6.0);
            const float d = (float)((second[left + 1] - second[left]) / 6.0), unit = 1.0f / (float)width;
            const float first = (float)(0.5 / (double)width - 0.5 - (double)left);
            for (ptrdiff_t x = start; x < stop; x++) {
                const float u = (float)(int32_t)x * unit + first;
                row[x] -= a + u * (b + u * (c + u * d));
            }
        }
    }
}
