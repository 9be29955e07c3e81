#include "kernels.h"

enum {
    NEIGHBOURS = 8,
    LINKS = 4,       /* neighbours that were seen before: left, above left, above, above right */
    DIGIT_BITS = 11, /* of a key that is sorted by */
    DIGITS = 1 << DIGIT_BITS,
    COLUMNS = 10,    /* of an object: pixels, flux, x, y, xx, yy, xy, peak and its x and y */
};

/* A row smoothed by (1 2 1) x (1 2 1) / 16; nothing is outside of the image. column: float[nx + 2], of zeros at its ends. */
static inline void smooth_row(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, ptrdiff_t y, float *restrict column,
                              float *restrict smooth) {
    const float *row = image + y * nx;
    for (ptrdiff_t x = 0; x < nx; x++) column[x + 1] = 2.0f * row[x];
    if (y > 0)
        for (ptrdiff_t x = 0; x < nx; x++) column[x + 1] += row[x - nx];
    if (y < ny - 1)
        for (ptrdiff_t x = 0; x < nx; x++) column[x + 1] += row[x + nx];
    for (ptrdiff_t x = 0; x < nx; x++) smooth[x] = (column[x] + 2.0f * column[x + 1] + column[x + 2]) * 0.0625f;
}

/* The pixels of the smoothed image above a threshold, in order: their places in the image, values, and neighbours among
   them (their numbers, or -1). work: float[2][nx + 2] and numbers: int32[2][nx + 2], zero and -1. Returns how many there
   are; what goes beyond `most` is not kept. */
KERNEL ptrdiff_t bright_pixels(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, float threshold, ptrdiff_t most,
                               float *restrict work, int32_t *restrict numbers, int64_t *restrict place,
                               float *restrict value, int32_t *restrict links) {
    float *column = work, *smooth = work + nx + 2;
    int32_t *above = numbers + 1, *here = numbers + nx + 3;
    ptrdiff_t found = 0, kept_above = 0;
    for (ptrdiff_t y = 0; y < ny; y++) {
        const ptrdiff_t before = found;
        smooth_row(image, ny, nx, y, column, smooth);
        for (ptrdiff_t start = 0; start < nx; start += BLOCK) {
            const ptrdiff_t stop = lesser(start + BLOCK, nx);
            if (!any_above(smooth + start, stop - start, threshold)) continue;
            for (ptrdiff_t x = start; x < stop; x++) {
                if (!(smooth[x] > threshold)) continue;
                if (found < most) {
                    const int32_t earlier[LINKS] = {here[x - 1], above[x - 1], above[x], above[x + 1]};
                    place[found] = y * nx + x;
                    value[found] = smooth[x];
                    for (int k = 0; k < LINKS; k++) {
                        links[found * NEIGHBOURS + k] = earlier[k];
                        links[found * NEIGHBOURS + NEIGHBOURS - 1 - k] = -1;
                        if (earlier[k] >= 0)
                            links[earlier[k] * NEIGHBOURS + NEIGHBOURS - 1 - k] = (int32_t)found;
                    }
                    here[x] = (int32_t)found;
                }
                found++;
            }
        }
        /* The row becomes the one above; the one above that is cleared. */
        for (ptrdiff_t k = kept_above; k < lesser(before, most); k++) above[place[k] % nx] = -1;
        kept_above = before;
        int32_t *const other = above;
        above = here;
        here = other;
    }
    return found;
}

/* Numbers of the values (all positive), the greatest first, equal ones as they come; the result is in `other`. */
static inline void by_value(const float *value, int32_t number, int32_t *order, int32_t *other) {
    int32_t starts[DIGITS + 1];
    for (int32_t k = 0; k < number; k++) order[k] = k;
    for (int shift = 0; shift < 32; shift += DIGIT_BITS) {
        for (int k = 0; k <= DIGITS; k++) starts[k] = 0;
        for (int32_t k = 0; k < number; k++) {
            union { float value; uint32_t bits; } key = {value[k]};
            starts[((~key.bits >> shift) & (DIGITS - 1)) + 1]++;
        }
        for (int k = 0; k < DIGITS; k++) starts[k + 1] += starts[k];
        for (int32_t k = 0; k < number; k++) {
            union { float value; uint32_t bits; } key = {value[order[k]]};
            other[starts[(~key.bits >> shift) & (DIGITS - 1)]++] = order[k];
        }
        int32_t *const sorted = other;
        other = order;
        order = sorted;
    }
}

static inline int32_t root_of(int32_t *restrict parent, int32_t one) {
    while (parent[one] != one) {
        parent[one] = parent[parent[one]];
        one = parent[one];
    }
    return one;
}

/* Whether what is connected down to a saddle is an object of its own. */
static inline int stands_out(int32_t land, float saddle, float prominence, ptrdiff_t least, double least_light,
                             const int32_t *pixels, const double *light, const float *peak) {
    return peak[land] - saddle >= prominence && pixels[land] >= least &&
           light[land] - (double)saddle * (double)pixels[land] > least_light;
}

/* Which object each pixel belongs to, -1 for those of none; returns how many objects there are.

   Pixels are taken by falling value. One without a neighbour begins a hill, others join that of their highest
   neighbour. Where hills meet, each remains an object when it stands out: by `prominence` in its peak, by `share` of
   all the light of the island in what lies above the saddle, and with so many pixels; else the lesser becomes part of
   the other. Islands and objects of less than `least` pixels are none.

   order, other, parent, hill: int32[number]; object: int32[number], the result; pixels: int32[number]; light, total:
   double[number]; peak: float[number]. */
KERNEL ptrdiff_t part_objects(ptrdiff_t number, const float *restrict value, const int32_t *restrict links,
                              ptrdiff_t least, float prominence, double share, int32_t *restrict order,
                              int32_t *restrict other, int32_t *restrict parent, int32_t *restrict hill,
                              int32_t *restrict pixels, double *restrict light, double *restrict total,
                              float *restrict peak, int32_t *restrict object) {
    const int32_t count = (int32_t)number;
    for (int32_t k = 0; k < count; k++) {
        parent[k] = k;
        light[k] = 0.0;
        pixels[k] = 0;
    }
    for (int32_t k = 0; k < count; k++)
        for (int n = 0; n < LINKS; n++)
            if (links[k * NEIGHBOURS + n] >= 0) {
                const int32_t one = root_of(parent, k), two = root_of(parent, links[k * NEIGHBOURS + n]);
                if (one != two) parent[greater(one, two)] = (int32_t)lesser(one, two);
            }
    for (int32_t k = 0; k < count; k++) {
        object[k] = root_of(parent, k);
        light[object[k]] += (double)value[k];
        pixels[object[k]]++;
    }
    for (int32_t k = 0; k < count; k++) total[k] = light[object[k]];

    /* By falling value, island by island: their pixels lie near each other in memory. */
    by_value(value, count, order, other);
    for (int32_t k = 0, start = 0; k < count; k++) {
        const int32_t own = pixels[k];
        pixels[k] = start;
        start += own;
    }
    for (int32_t k = 0; k < count; k++) order[pixels[object[other[k]]]++] = other[k];
    for (int32_t k = 0; k < count; k++) parent[k] = hill[k] = -1;
    for (int32_t k = 0; k < count; k++) {
        const int32_t pixel = order[k];
        const int32_t *const beside = links + (ptrdiff_t)pixel * NEIGHBOURS;
        int32_t highest = -1;
        for (int n = 0; n < NEIGHBOURS; n++)
            if (beside[n] >= 0 && parent[beside[n]] >= 0 && (highest < 0 || value[beside[n]] > value[highest]))
                highest = beside[n];
        if (highest < 0) {
            parent[pixel] = hill[pixel] = pixel;
            pixels[pixel] = 1;
            light[pixel] = (double)value[pixel];
            peak[pixel] = value[pixel];
            continue;
        }
        int32_t land = root_of(parent, highest); /* what is connected down to here */
        hill[pixel] = highest;
        parent[pixel] = land;
        for (int n = 0; n < NEIGHBOURS; n++) {
            if (beside[n] < 0 || parent[beside[n]] < 0) continue;
            const int32_t far = root_of(parent, beside[n]);
            if (far == land) continue;
            const int32_t lesser_one = peak[far] > peak[land] ? land : far, greater_one = lesser_one == far ? land : far;
            const int stands = stands_out(lesser_one, value[pixel], prominence, least, share * total[pixel], pixels, light, peak);
            if (!(stands && stands_out(greater_one, value[pixel], prominence, least, share * total[pixel], pixels, light, peak))) {
                /* One object from here on: the hill of the weaker one goes on in the other's, where they meet. */
                if ((stands ? greater_one : lesser_one) == far)
                    hill[far] = pixel;
                else
                    hill[land] = beside[n];
            }
            parent[lesser_one] = greater_one;
            pixels[greater_one] += pixels[lesser_one];
            light[greater_one] += light[lesser_one];
            land = greater_one;
        }
        pixels[land]++;
        light[land] += (double)value[pixel];
    }

    /* Each pixel's hill is a higher pixel, or the summit that its own summit was given to. */
    for (int32_t k = 0; k < count; k++) order[k] = 0;
    for (int32_t k = 0; k < count; k++) {
        hill[k] = root_of(hill, k);
        order[hill[k]]++;
    }
    int32_t objects = 0;
    for (int32_t k = 0; k < count; k++) order[k] = hill[k] == k && order[k] >= least ? objects++ : -1;
    for (int32_t k = 0; k < count; k++) object[k] = order[hill[k]];
    return objects;
}

/* What each object is, double[objects][COLUMNS], zero before: centre and second moments weighted by smoothed values;
   flux and peak of the image itself. */
KERNEL void object_moments(const float *restrict image, ptrdiff_t nx, ptrdiff_t number, const int64_t *restrict place,
                           const float *restrict value, const int32_t *restrict object, ptrdiff_t objects,
                           double *restrict weight, double *restrict table) {
    for (ptrdiff_t k = 0; k < number; k++) {
        if (object[k] < 0) continue;
        double *const own = table + (ptrdiff_t)object[k] * COLUMNS;
        const double x = (double)(place[k] % nx), y = (double)(place[k] / nx), light = (double)value[k];
        const float pixel = image[place[k]];
        if (own[0] == 0.0 || (double)pixel > own[7]) {
            own[7] = (double)pixel;
            own[8] = x;
            own[9] = y;
        }
        own[0] += 1.0;
        own[1] += (double)pixel;
        own[2] += light * x;
        own[3] += light * y;
        own[4] += light * x * x;
        own[5] += light * y * y;
        own[6] += light * x * y;
        weight[object[k]] += light;
    }
    for (ptrdiff_t k = 0; k < objects; k++) {
        double *const own = table + k * COLUMNS;
        for (int n = 2; n < 7; n++) own[n] /= weight[k];
        own[4] -= own[2] * own[2];
        own[5] -= own[3] * own[3];
        own[6] -= own[2] * own[3];
    }
}
