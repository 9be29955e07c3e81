#include "kernels.h"

/* Mean of all but the highest of `seen` values of which these are the sum and the highest two, less the noise of it. Of
   CLIP_BOTH values or more two may be hot in the same place, when the sky moves slowly. */
ALWAYS_INLINE float mean_of_others(float total, float highest, float second, float seen, float both, float margin) {
    const float without = seen >= both ? 2.0f : seen >= 1.0f ? 1.0f : 0.0f;
    const float number = seen - without > 1.0f ? seen - without : 1.0f;
    float others = total;
    if (without >= 1.0f) others -= highest;
    if (without == 2.0f) others -= second;
    return others / number - margin / sqrtf(number);
}

/* Sums, numbers and spreads of one row of `number` images, `apart` from one another, and means of the others; NaN counts as
   sky in the extremes. Where the compiler knows the number, all of it stays in registers. */
ALWAYS_INLINE void look_at_row(const float *restrict values, ptrdiff_t number, ptrdiff_t apart, ptrdiff_t nx, float both,
                               float margin, float *restrict total, float *restrict count, float *restrict spread,
                               float *restrict others) {
    for (ptrdiff_t x = 0; x < nx; x++) {
        float sum = 0.0f, seen = 0.0f, highest = -INFINITY, second = -INFINITY, lowest = INFINITY;
        for (ptrdiff_t i = 0; i < number; i++) {
            const float read = values[i * apart + x];
            const int there = read == read;
            const float value = there ? read : 0.0f, less = highest < value ? highest : value;
            second = second > less ? second : less;
            highest = highest > value ? highest : value;
            lowest = lowest < value ? lowest : value;
            sum += value;
            seen += there ? 1.0f : 0.0f;
        }
        total[x] = sum;
        count[x] = seen;
        spread[x] = highest - lowest;
        others[x] = mean_of_others(sum, highest, second, seen, both, margin);
    }
}

#define LOOK(images) look_at_row(values, images, apart, nx, both, margin, total, count, spread, others)

ALWAYS_INLINE void look_at(const float *restrict values, ptrdiff_t number, ptrdiff_t apart, ptrdiff_t nx, float both,
                           float margin, float *restrict total, float *restrict count, float *restrict spread,
                           float *restrict others) {
    switch (number) {
        case 2: LOOK(2); break;
        case 3: LOOK(3); break;
        case 4: LOOK(4); break;
        case 5: LOOK(5); break;
        case 6: LOOK(6); break;
        case 7: LOOK(7); break;
        case 8: LOOK(8); break;
        default: LOOK(number);
    }
}

/* The largest value within `reach` of a pixel. */
static inline float brightest(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, ptrdiff_t y, ptrdiff_t x,
                              ptrdiff_t reach) {
    float found = image[y * nx + x];
    for (ptrdiff_t j = greater(0, y - reach); j < lesser(ny, y + reach + 1); j++)
        for (ptrdiff_t i = greater(0, x - reach); i < lesser(nx, x + reach + 1); i++)
            found = image[j * nx + i] > found ? image[j * nx + i] : found;
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

   values: float[number][ny][nx]; limits: float[number]; work: float[2 ny][nx]; sorted: float[number]. */
KERNEL void clipped_sums(const float *restrict values, ptrdiff_t number, ptrdiff_t ny, ptrdiff_t nx,
                         const float *restrict limits, float least, float margin, float both, float contrast,
                         ptrdiff_t reach, float *restrict work, float *restrict sorted, float *restrict total,
                         float *restrict count) {
    const ptrdiff_t apart = ny * nx;
    float *others = work, *spread = work + apart;
    for (ptrdiff_t y = 0; y < ny; y++)
        look_at(values + y * nx, number, apart, nx, both, margin, total + y * nx, count + y * nx, spread + y * nx,
                others + y * nx);
    for (ptrdiff_t start = 0; start < apart; start += BLOCK) {
        if (!any_above(spread + start, lesser(BLOCK, apart - start), least)) continue;  /* nothing could be left out */
        for (ptrdiff_t at = start; at < lesser(start + BLOCK, apart); at++) {
            if (!(spread[at] > least)) continue;
            const float light = brightest(others, ny, nx, at / nx, at % nx, reach);
            const float tolerance = contrast * (light > 0.0f ? light : 0.0f);
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

/* Pixels (flat indices, ascending) of an image as they fall on blocks of `high` rows of the reference, which begin `apart`
   from one another and reach `reach` rows beyond; tiles of columns are moved by shifts: int64[blocks][tiles][2] (x, y). Of
   each block, from starts[block] to starts[block + 1], which pixels do, and where, counted from the first row of the block
   with what it reaches to; returns how many, of which `most` are kept. */
KERNEL ptrdiff_t moved_pixels(const int64_t *restrict known, ptrdiff_t number, ptrdiff_t ny, ptrdiff_t nx, ptrdiff_t tile,
                              const int64_t *restrict shifts, ptrdiff_t tiles, ptrdiff_t blocks, ptrdiff_t apart,
                              ptrdiff_t reach, ptrdiff_t most, int64_t *restrict starts, int64_t *restrict which,
                              int64_t *restrict where) {
    ptrdiff_t found = 0, begin = 0;
    for (ptrdiff_t block = 0; block < blocks; block++) {
        const int64_t *const own_shifts = shifts + 2 * tiles * block;
        const ptrdiff_t first = greater(0, block * apart - reach), last = lesser(ny, (block + 1) * apart + reach);
        int64_t least = own_shifts[1], largest = own_shifts[1];
        for (ptrdiff_t k = 1; k < tiles; k++) {
            least = own_shifts[2 * k + 1] < least ? own_shifts[2 * k + 1] : least;
            largest = own_shifts[2 * k + 1] > largest ? own_shifts[2 * k + 1] : largest;
        }
        starts[block] = found;
        while (begin > 0 && known[begin - 1] >= (first + least) * nx) begin--;
        while (begin < number && known[begin] < (first + least) * nx) begin++;
        for (ptrdiff_t i = begin; i < number && known[i] < (last + largest) * nx; i++) {
            const ptrdiff_t there = known[i] % nx, near = lesser(there / tile, tiles - 1);
            /* Tiles move unlike each other by at most a pixel: the shift at the pixel's own place is that of its tile but
               for some at a tile's end, which stay out. */
            const ptrdiff_t own = greater(0, lesser(nx - 1, there - own_shifts[2 * near])) / tile;
            const ptrdiff_t x = there - own_shifts[2 * own], y = known[i] / nx - own_shifts[2 * own + 1];
            if (x < 0 || x >= nx || y < first || y >= last) continue;
            if (found < most) {
                which[found] = i;
                where[found] = (y - first) * nx + x;
            }
            found++;
        }
    }
    starts[blocks] = found;
    return found;
}

static inline void without_value(float *restrict values, ptrdiff_t number) {
    for (ptrdiff_t i = 0; i < number; i++) values[i] = NAN;
}

/* Rows `first` to `last` of the reference of an image whose tiles of columns are moved by shifts: int64[tiles][2] (x, y),
   NaN beyond the image. `part` are its rows from `from` on, `rows` of them, that hold what is needed; where it is turned,
   they are upside down and mirrored: the last pixel is the first of row `from`. */
KERNEL void moved_rows(const float *restrict part, ptrdiff_t from, ptrdiff_t rows, int turned, ptrdiff_t ny, ptrdiff_t nx,
                       ptrdiff_t tile, const int64_t *restrict shifts, ptrdiff_t tiles, ptrdiff_t first, ptrdiff_t last,
                       float *restrict result) {
    for (ptrdiff_t y = first; y < last; y++)
        for (ptrdiff_t k = 0; k < tiles; k++) {
            const ptrdiff_t dx = shifts[2 * k], there = y + shifts[2 * k + 1] - from;
            const ptrdiff_t start = k * tile, stop = lesser(start + tile, nx);
            const ptrdiff_t left = greater(start, -dx), right = lesser(stop, nx - dx);
            float *const own = result + (y - first) * nx;
            if (left >= right || there + from < 0 || there + from >= ny) {
                without_value(own + start, stop - start);
                continue;
            }
            without_value(own + start, left - start);
            without_value(own + right, stop - right);
            if (turned) {
                const float *const row = part + (rows - 1 - there) * nx + nx - 1 - dx;
                for (ptrdiff_t x = left; x < right; x++) own[x] = row[-x];
            } else {
                const float *const row = part + there * nx + dx;
                for (ptrdiff_t x = left; x < right; x++) own[x] = row[x];
            }
        }
}

/* total += image where it has a weight, times that; weight += weights. */
KERNEL void add_weighted(float *restrict total, float *restrict weight, const float *restrict image,
                         const float *restrict weights, ptrdiff_t number) {
    for (ptrdiff_t i = 0; i < number; i++) {
        const float product = image[i] * weights[i];
        total[i] += weights[i] == 0.0f ? 0.0f : product;
        weight[i] += weights[i];
    }
}
