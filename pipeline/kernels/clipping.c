#include "kernels.h"

/* Mean of all but the highest of `seen` values of which these are the sum and the highest two, less the noise of it. Of
   CLIP_BOTH values or more two may be hot in the same place, when the sky moves slowly. */
static inline float mean_of_others(float total, float highest, float second, float seen, float both, float margin) {
    const float without = seen >= both ? 2.0f : seen >= 1.0f ? 1.0f : 0.0f;
    const float number = seen - without > 1.0f ? seen - without : 1.0f;
    float others = total;
    if (without >= 1.0f) others -= highest;
    if (without == 2.0f) others -= second;
    return others / number - margin / sqrtf(number);
}

/* Sums, numbers and extremes of one row of `number` images, `apart` from one another; NaN counts as sky in the extremes. */
static inline void look_at_row(const float *restrict values, ptrdiff_t number, ptrdiff_t apart, ptrdiff_t nx,
                               float both, float margin, float *restrict total, float *restrict count,
                               float *restrict highest, float *restrict second, float *restrict spread,
                               float *restrict others) {
    float *lowest = spread;
    for (ptrdiff_t x = 0; x < nx; x++) {
        total[x] = count[x] = 0.0f;
        highest[x] = second[x] = -INFINITY;
        lowest[x] = INFINITY;
    }
    for (ptrdiff_t i = 0; i < number; i++) {
        const float *row = values + i * apart;
        for (ptrdiff_t x = 0; x < nx; x++) {
            const int there = row[x] == row[x];
            const float value = there ? row[x] : 0.0f;
            const float less = highest[x] < value ? highest[x] : value;
            second[x] = second[x] > less ? second[x] : less;
            highest[x] = highest[x] > value ? highest[x] : value;
            lowest[x] = lowest[x] < value ? lowest[x] : value;
            total[x] += value;
            count[x] += there ? 1.0f : 0.0f;
        }
    }
    for (ptrdiff_t x = 0; x < nx; x++) {
        spread[x] = highest[x] - lowest[x];
        others[x] = mean_of_others(total[x], highest[x], second[x], count[x], both, margin);
    }
}

/* The largest of `tall` in the columns within `reach` of one. */
static inline float brightest(const float *restrict tall, ptrdiff_t nx, ptrdiff_t x, ptrdiff_t reach) {
    float found = tall[x];
    for (ptrdiff_t k = greater(0, x - reach); k < lesser(nx, x + reach + 1); k++) found = tall[k] > found ? tall[k] : found;
    return found;
}

/* Sum and number of the values of one pixel that do not exceed their lower median by more than what is allowed. */
static inline void clip_pixel(const float *restrict values, ptrdiff_t number, ptrdiff_t apart, const float *restrict limits,
                              float tolerance, float *restrict sorted, float *restrict total, float *restrict count) {
    ptrdiff_t there = 0;
    for (ptrdiff_t i = 0; i < number; i++) {
        const float value = values[i * apart];
        if (isnan(value)) continue;
        ptrdiff_t k = there++;
        for (; k > 0 && sorted[k - 1] > value; k--) sorted[k] = sorted[k - 1];
        sorted[k] = value;
    }
    float sum = 0.0f, kept = 0.0f;
    const float level = there > 0 ? sorted[(there - 1) / 2] + tolerance : NAN;
    for (ptrdiff_t i = 0; i < number; i++)
        if (values[i * apart] <= level + limits[i]) {
            sum += values[i * apart];
            kept += 1.0f;
        }
    *total = sum;
    *count = kept;
}

/* Sums and numbers of the values of `number` images that do not stand far above the others.

   values: float[number][ny][nx]; limits: float[number]; work: float[2 ny + 3][nx]; sorted: float[number]. */
KERNEL void clipped_sums(const float *restrict values, ptrdiff_t number, ptrdiff_t ny, ptrdiff_t nx,
                         const float *restrict limits, float least, float margin, float both, float contrast,
                         ptrdiff_t reach, float *restrict work, float *restrict sorted, float *restrict total,
                         float *restrict count) {
    const ptrdiff_t apart = ny * nx;
    float *others = work, *spread = work + apart, *tall = work + 2 * apart, *highest = tall + nx, *second = highest + nx;
    for (ptrdiff_t y = 0; y < ny; y++)
        look_at_row(values + y * nx, number, apart, nx, both, margin, total + y * nx, count + y * nx, highest, second,
                    spread + y * nx, others + y * nx);
    for (ptrdiff_t y = 0; y < ny; y++) {
        for (ptrdiff_t x = 0; x < nx; x++) tall[x] = others[y * nx + x];
        for (ptrdiff_t k = greater(0, y - reach); k < lesser(ny, y + reach + 1); k++)
            for (ptrdiff_t x = 0; x < nx; x++) tall[x] = others[k * nx + x] > tall[x] ? others[k * nx + x] : tall[x];
        for (ptrdiff_t x = 0; x < nx; x++) {
            const ptrdiff_t at = y * nx + x;
            if (!(spread[at] > least)) continue;  /* nothing could be left out at all */
            const float light = brightest(tall, nx, x, reach), tolerance = contrast * (light > 0.0f ? light : 0.0f);
            if (spread[at] > tolerance + least)
                clip_pixel(values + at, number, apart, limits, tolerance, sorted, total + at, count + at);
        }
    }
}

/* Add values to the sums at `where` (flat indices) if the mean nearby, less its noise, is bright enough for a star there.

   fits: uint8[places], to work in: all are judged by the sums without any of them. */
KERNEL void take_in(float *restrict total, float *restrict count, ptrdiff_t ny, ptrdiff_t nx, const int64_t *restrict where,
                    const float *restrict values, ptrdiff_t places, float margin, float contrast, ptrdiff_t reach,
                    uint8_t *restrict fits) {
    for (ptrdiff_t i = 0; i < places; i++) {
        const ptrdiff_t row = where[i] / nx, column = where[i] % nx;
        float light = -INFINITY;
        for (ptrdiff_t y = greater(0, row - reach); y < lesser(ny, row + reach + 1); y++)
            for (ptrdiff_t x = greater(0, column - reach); x < lesser(nx, column + reach + 1); x++) {
                const ptrdiff_t at = y * nx + x;
                if (!(count[at] > 0.0f)) continue;
                const float mean = total[at] / count[at] - margin / sqrtf(count[at]);
                light = mean > light ? mean : light;
            }
        fits[i] = values[i] <= contrast * light;
    }
    for (ptrdiff_t i = 0; i < places; i++)
        if (fits[i]) {
            total[where[i]] += values[i];
            count[where[i]] += 1.0f;
        }
}

/* Pixels (flat indices) of an image as they fall on rows `first` to `last` of the reference, whose tiles of columns are
   moved by shifts: int64[tiles][2] (x, y). Which do, and where, counted from the first row; returns how many. */
KERNEL ptrdiff_t moved_pixels(const int64_t *restrict known, ptrdiff_t number, ptrdiff_t nx, ptrdiff_t tile,
                              const int64_t *restrict shifts, ptrdiff_t tiles, ptrdiff_t first, ptrdiff_t last,
                              int64_t *restrict which, int64_t *restrict where) {
    ptrdiff_t inside = 0;
    for (ptrdiff_t i = 0; i < number; i++) {
        const ptrdiff_t there = known[i] % nx, near = lesser(there / tile, tiles - 1);
        /* Tiles move unlike each other by at most a pixel: the shift at the pixel's own place is that of its tile but for
           some at a tile's end, which stay out. */
        const ptrdiff_t own = greater(0, lesser(nx - 1, there - shifts[2 * near])) / tile;
        const ptrdiff_t x = there - shifts[2 * own], y = known[i] / nx - shifts[2 * own + 1];
        if (x < 0 || x >= nx || y < first || y >= last) continue;
        which[inside] = i;
        where[inside++] = (y - first) * nx + x;
    }
    return inside;
}
