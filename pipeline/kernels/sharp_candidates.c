#include "kernels.h"

/* Mean of two opposite neighbours; NaN where one of them is a dead pixel, or outside. */
static inline float opposite(const float *pixel, ptrdiff_t step, int is_inside, float lowest) {
    if (!is_inside) return NAN;
    const float before = pixel[-step], after = pixel[step];
    return before > lowest && after > lowest ? (before + after) / 2.0f : NAN;
}

/* Pixels above `noise` that exceed the lesser mean of two opposite neighbours by more than `contrast` allows (is_run), or
   both means at least: of these the mean of the ring, too. Returns how many; what goes beyond `most` is not kept. */
KERNEL ptrdiff_t sharp_candidates(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, float noise, float contrast,
                                  float least, ptrdiff_t most, int64_t *restrict place, float *restrict peak,
                                  float *restrict ring, uint8_t *restrict is_run) {
    ptrdiff_t found = 0;
    for (ptrdiff_t y = 0; y < ny; y++)
        for (ptrdiff_t start = 0; start < nx; start += BLOCK) {
            const float *const row = image + y * nx;
            const ptrdiff_t stop = lesser(start + BLOCK, nx);
            if (!any_above(row + start, stop - start, noise)) continue;
            for (ptrdiff_t x = start; x < stop; x++) {
                const float *const pixel = row + x, value = *pixel;
                if (!(value > noise)) continue;
                const float across = opposite(pixel, 1, x > 0 && x < nx - 1, -noise);
                const float along = opposite(pixel, nx, y > 0 && y < ny - 1, -noise);
                const float lower = fminf(across, along);
                const int run = value - contrast * (lower < 0.0f ? 0.0f : lower) > least;
                if (!run && !(value > across && value > along)) continue;
                if (found < most) {
                    place[found] = y * nx + x;
                    peak[found] = value;
                    is_run[found] = (uint8_t)run;
                    ring[found] = NAN;
                    if (!run) {
                        const ptrdiff_t steps[8] = {-nx - 1, -nx, -nx + 1, -1, 1, nx - 1, nx, nx + 1};
                        float total = 0.0f;
                        for (int k = 0; k < 8; k++) total += pixel[steps[k]];
                        ring[found] = total / 8.0f;
                    }
                }
                found++;
            }
        }
    return found;
}

/* The mean of two opposite neighbours of a pixel, of which found ones do not count: the other stands for it. */
static inline float without_found(const float *restrict pixel, const uint8_t *restrict found, ptrdiff_t step) {
    if (found[-step] == 1 && found[step] == 1) return NAN;
    const float before = found[-step] == 1 ? pixel[step] : pixel[-step];
    return 0.5f * (before + (found[step] == 1 ? before : pixel[step]));
}

/* Pixels beside the seeds (flat indices) that are sharp once the found ones no longer count as their neighbours: they
   exceed the greater mean of two opposite neighbours by `least` over `contrast` times it. found: uint8[ny][nx], 1 for pixels
   that were found before; those found now become 1. more: int64[8 seeds]; returns how many they are. */
KERNEL ptrdiff_t follow_tracks(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, const int64_t *restrict seeds,
                               ptrdiff_t number, float noise, float contrast, float least, uint8_t *restrict found,
                               int64_t *restrict more) {
    ptrdiff_t added = 0;
    for (ptrdiff_t i = 0; i < number; i++)
        for (ptrdiff_t dy = -1; dy <= 1; dy++)
            for (ptrdiff_t dx = -1; dx <= 1; dx++) {
                const ptrdiff_t at = seeds[i] + dy * nx + dx;
                if (at < 0 || at >= ny * nx || found[at] || !(image[at] > noise)) continue;
                const ptrdiff_t y = at / nx, x = at % nx;
                if (x < 1 || x >= nx - 1 || y < 1 || y >= ny - 1) continue;
                const float greater = fmaxf(without_found(image + at, found + at, 1), without_found(image + at, found + at, nx));
                if (!(image[at] - contrast * (greater < 0.0f ? 0.0f : greater) > least)) continue;
                found[at] = 2;  /* all are judged by those that were found before */
                more[added++] = at;
            }
    for (ptrdiff_t i = 0; i < added; i++) found[more[i]] = 1;
    return added;
}
