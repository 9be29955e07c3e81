#include "kernels.h"

#define LANES REGISTER

/* Mark the pixels within `half` px, in x and in y, of those from `first` to `last` of row y. */
static inline void mark_around(uint8_t *restrict mask, ptrdiff_t ny, ptrdiff_t nx, ptrdiff_t y, ptrdiff_t first,
                               ptrdiff_t last, ptrdiff_t half) {
    const ptrdiff_t left = greater(0, first - half), right = lesser(nx, last + half + 1);
    for (ptrdiff_t row = greater(0, y - half); row < lesser(ny, y + half + 1); row++)
        for (ptrdiff_t x = left; x < right; x++) mask[row * nx + x] = 1;
}

/* Runs of pixels in a row that are not at or below `limit`, as flat index and length; and the pixels without a value, which
   are among them. found: how many there are of each, of which `most_runs` and `most_missing` are kept. */
KERNEL void bright_runs(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, float limit, ptrdiff_t most_runs,
                        int64_t *restrict runs, ptrdiff_t most_missing, int64_t *restrict missing, int64_t *restrict found) {
    found[0] = found[1] = 0;
    for (ptrdiff_t y = 0; y < ny; y++) {
        const float *row = image + y * nx;
        for (ptrdiff_t x = 0; x < nx;) {
            const ptrdiff_t end = lesser(nx, x + BLOCK);
            int any = end < x + BLOCK;
            if (!any)  /* most blocks have none */
                for (ptrdiff_t k = 0; k < BLOCK; k++) any |= !(row[x + k] <= limit);
            for (; any && x < end; x++) {
                if (row[x] <= limit) continue;
                const ptrdiff_t first = x;
                for (; x < nx && !(row[x] <= limit); x++) {
                    if (row[x] == row[x]) continue;
                    if (found[1] < most_missing) missing[found[1]] = y * nx + x;
                    found[1]++;
                }
                if (found[0] < most_runs) {
                    runs[2 * found[0]] = y * nx + first;
                    runs[2 * found[0] + 1] = x - first;
                }
                found[0]++;
            }
            x = greater(x, end);
        }
    }
}

/* mask[y][x] = 1 within `half` px, in x and in y, of a pixel of the runs (flat index, length) that is above `limit`, or of a
   place (row, column) in the image. */
KERNEL void star_pixels(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, float limit, const int64_t *restrict runs,
                        ptrdiff_t run_number, const int64_t *restrict places, ptrdiff_t number, ptrdiff_t half,
                        uint8_t *restrict mask) {
    for (ptrdiff_t i = 0; i < number; i++)
        mark_around(mask, ny, nx, places[2 * i], places[2 * i + 1], places[2 * i + 1], half);
    for (ptrdiff_t run = 0; run < run_number; run++) {
        const ptrdiff_t y = runs[2 * run] / nx, start = runs[2 * run] % nx, end = start + runs[2 * run + 1];
        const float *row = image + y * nx;
        for (ptrdiff_t x = start; x < end; x++) {
            if (!(row[x] > limit)) continue;
            const ptrdiff_t first = x;
            while (x + 1 < end && row[x + 1] > limit) x++;
            mark_around(mask, ny, nx, y, first, x, half);
        }
    }
}

/* The lower quartile, the median and the upper one of a few values, behind which LANES places are free. Each counts those
   below it, many at a time: sorting takes ten times as long. */
static inline void quartiles(float *restrict values, ptrdiff_t number, float *restrict found) {
    for (ptrdiff_t k = 0; k < LANES; k++) values[number + k] = INFINITY;
    for (ptrdiff_t start = 0; start < number; start += LANES) {
        Register own;
        Counts below = {0}, up_to = {0};
        LOAD(own, values + start);
        for (ptrdiff_t i = 0; i < number; i++) {
            below -= values[i] < own;
            up_to -= values[i] <= own;
        }
        for (ptrdiff_t part = 1; part <= 3; part++) {
            const int32_t place = (int32_t)(number * part / 4);
            const Counts here = (below <= place) & (place < up_to);
            for (ptrdiff_t k = 0; k < LANES; k++) found[part - 1] = here[k] ? own[k] : found[part - 1];
        }
    }
}

/* Moments of the values within `limit` of `centre`, about it: how many, their sum, the sum of their squares. */
static inline void moments(const float *restrict values, ptrdiff_t number, float centre, float limit, double *restrict kept) {
    Counts count[2] = {{0}, {0}};
    Register sum[2] = {{0}, {0}}, square[2] = {{0}, {0}};
    for (ptrdiff_t i = 0; i < number; i += 2 * LANES)
        for (int half = 0; half < 2; half++) {
            Register value;
            LOAD(value, values + i + half * LANES);
            const Register away = value - centre;
            const Counts inside = (away <= limit) & (away >= -limit);  /* not NaN */
            const Register part = (Register)((Counts)away & inside);
            count[half] -= inside;
            sum[half] += part;
            square[half] += part * part;
        }
    kept[0] = kept[1] = kept[2] = 0.0;
    for (int half = 0; half < 2; half++)
        for (ptrdiff_t k = 0; k < LANES; k++) {
            kept[0] += (double)count[half][k];
            kept[1] += (double)sum[half][k];
            kept[2] += (double)square[half][k];
        }
}

/* Values of the runs of pixels (dy, dx, length) about a place, NaN for those that are left out or outside; how many. A run
   is copied in whole registers: what is too much is overwritten by the next. 2 LANES places are free behind the values. */
static inline ptrdiff_t gather(const float *restrict image, const uint8_t *restrict left_out, ptrdiff_t ny, ptrdiff_t nx,
                               ptrdiff_t row, ptrdiff_t column, ptrdiff_t reach, const int64_t *restrict runs,
                               ptrdiff_t number, float *restrict values) {
    const int whole = row >= reach && row < ny - reach && column >= reach && column < nx - reach - LANES;
    ptrdiff_t used = 0;
    for (ptrdiff_t run = 0; run < number; run++) {
        const ptrdiff_t y = row + runs[3 * run], x = column + runs[3 * run + 1], length = runs[3 * run + 2];
        if (whole) {
            const float *here = image + y * nx + x;
            const uint8_t *out = left_out + y * nx + x;
            for (ptrdiff_t i = 0; i < length; i += LANES) {
                Register value;
                Marks mark;
                LOAD(value, here + i);
                LOAD(mark, out + i);
                const Counts gone = __builtin_convertvector(mark, Counts) != 0;
                value = (Register)((Counts)value | gone);  /* all bits set: NaN */
                STORE(value, values + used + i);
            }
        } else {
            for (ptrdiff_t i = 0; i < length; i++) {
                const int inside = y >= 0 && y < ny && x + i >= 0 && x + i < nx;
                values[used + i] = inside && !left_out[y * nx + x + i] ? image[y * nx + x + i] : NAN;
            }
        }
        used += length;
    }
    for (ptrdiff_t k = 0; k < 2 * LANES; k++) values[used + k] = NAN;
    return used;
}

/* Clipped means of the pixels in runs (dy, dx, length) about each source's nearest pixel (row, column).

   left_out: uint8[ny][nx]; reach: the largest dy or dx. Every `stride`th pixel gives the first centre and sigma. values:
   float[pixels + 2 LANES] and sample: float[pixels / stride + 1 + LANES], to work in. */
KERNEL void annulus_means(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, const uint8_t *restrict left_out,
                          const int64_t *restrict places, ptrdiff_t number, const int64_t *restrict runs,
                          ptrdiff_t run_number, ptrdiff_t reach, ptrdiff_t stride, float least_sigma, float clip,
                          double clipped_variance, ptrdiff_t passes, float *restrict values, float *restrict sample,
                          double *restrict level, double *restrict rms, int64_t *restrict counts) {
    for (ptrdiff_t source = 0; source < number; source++) {
        const ptrdiff_t row = places[2 * source], column = places[2 * source + 1];
        const ptrdiff_t used = gather(image, left_out, ny, nx, row, column, reach, runs, run_number, values);
        ptrdiff_t drawn = 0;
        for (ptrdiff_t i = 0; i < used; i += stride) {
            sample[drawn] = values[i];  /* and the next one in its place if it is none: a jump would not be foretold */
            drawn += values[i] == values[i];
        }
        float start[3] = {0.0f, 0.0f, 0.0f};
        quartiles(sample, drawn, start);
        double centre = (double)start[1], sigma = (double)least_sigma;
        if (drawn > 3) {  /* quartiles of whole numbers can coincide: too wide a start costs only a pass */
            const double spread = (double)((start[2] - start[0]) / 1.349f);
            sigma = spread > sigma ? spread : sigma;
        }
        double kept[3] = {0.0, 0.0, 0.0};
        for (ptrdiff_t pass = 0; pass < passes; pass++) {
            moments(values, used, (float)centre, (float)((double)clip * sigma), kept);
            const double divisor = kept[0] > 1.0 ? kept[0] : 1.0, shift = kept[1] / divisor;
            const double variance = kept[2] / divisor - shift * shift;
            centre = (double)(float)centre + shift;
            sigma = sqrt((variance > 0.0 ? variance : 0.0) / clipped_variance);
        }
        level[source] = centre;
        rms[source] = sigma;
        counts[source] = (int64_t)kept[0];
    }
}
