#include "kernels.h"

#define HALF_PI 1.57079632679489661923
#define LEAST_AREA 1e-12  /* px²: less is rounding */

/* Arc sine of 0 to 0.71, to the last bits: fdlibm's (Sun Microsystems, 1993; e_asin.c). */
static inline double small_asin(double x) {
    const double t = x * x;
    const double p = t * (1.66666666666666657415e-01 + t * (-3.25565818622400915405e-01 + t * (2.01212532134862925881e-01 +
                     t * (-4.00555345006794114027e-02 + t * (7.91534994289814532176e-04 + t * 3.47933107596021167570e-05)))));
    const double q = 1.0 + t * (-2.40339491173441421878e+00 + t * (2.02094576023350569471e+00 +
                     t * (-6.88283971605453293030e-01 + t * 7.70381505559019352791e-02)));
    return x + x * (p / q);
}

/* Half of r² asin(a / r) + a b, for a point (a, b) of a circle about 0 with 0 <= a, b: the area between it and the b axis. */
static inline double sector(double a, double b, double radius) {
    const double lesser = small_asin((a < b ? a : b) / radius), angle = a < b ? lesser : HALF_PI - lesser;
    return 0.5 * (radius * radius * angle + a * b);
}

/* Of the grid lines before pixels `first` and on: where each is within the circle, and the area up to it. */
static inline void cut_all(ptrdiff_t first, ptrdiff_t number, double middle, double radius, double *restrict at,
                           double *restrict area) {
    for (ptrdiff_t i = 0; i < number; i++) {
        const double line = (double)(int32_t)(first + i) - 0.5 - middle, size = fabs(line), inside = size < radius ? size : radius;
        at[i] = line < 0.0 ? -inside : inside;
        area[i] = sector(inside, sqrt(radius * radius - inside * inside), radius);
    }
}

/* Sums over circles, each pixel by its exact part: sums[source][aperture].

   Between the axes and a corner (x, y) of the pixel grid lies, of a quarter of the circle, the area x y where the corner is
   inside it, else sector(x) + sector(y) - quarter; with the signs of x and y a pixel is the difference of its four corners.
   Only pixels of which a part lies inside are looked at. inside: whether to sum. lines: double[6][size + 1], to work in,
   where size is 2 ceil(largest radius) + 3. */
KERNEL void circle_sums(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, const double *restrict xy, ptrdiff_t number,
                        const double *restrict radii, ptrdiff_t apertures, const uint8_t *restrict inside, ptrdiff_t size,
                        double *restrict lines, double *restrict sums) {
    double *x = lines, *x_area = lines + size + 1, *y = lines + 2 * (size + 1), *y_area = lines + 3 * (size + 1);
    double *before = lines + 4 * (size + 1), *corners = lines + 5 * (size + 1);
    for (ptrdiff_t source = 0; source < number; source++)
        for (ptrdiff_t aperture = 0; aperture < apertures; aperture++) {
            if (!inside[source * apertures + aperture]) continue;
            const double radius = radii[aperture], quarter = 0.5 * HALF_PI * radius * radius;
            const double mx = xy[2 * source], my = xy[2 * source + 1];
            const ptrdiff_t left = greater(0, (ptrdiff_t)floor(mx - radius + 0.5));
            const ptrdiff_t right = lesser(nx, (ptrdiff_t)floor(mx + radius + 0.5) + 1), wide = right - left;
            const ptrdiff_t low = greater(0, (ptrdiff_t)floor(my - radius + 0.5));
            const ptrdiff_t high = lesser(ny, (ptrdiff_t)floor(my + radius + 0.5) + 1);
            cut_all(left, wide + 1, mx, radius, x, x_area);
            cut_all(low, high - low + 1, my, radius, y, y_area);
            double total = 0.0;
            for (ptrdiff_t row = low; row <= high; row++) {
                const double up = y[row - low], rest = y_area[row - low] - quarter, sign = up < 0.0 ? -1.0 : 1.0;
                const double room = radius * radius - up * up;
                for (ptrdiff_t i = 0; i <= wide; i++) {
                    const double cutting = (x[i] < 0.0 ? -sign : sign) * (x_area[i] + rest);
                    corners[i] = x[i] * x[i] < room ? x[i] * up : cutting;
                }
                if (row > low) {
                    const float *pixels = image + (row - 1) * nx + left;
                    for (ptrdiff_t i = 0; i < wide; i++) {
                        const double area = (corners[i + 1] - corners[i]) - (before[i + 1] - before[i]);
                        total += area > LEAST_AREA ? area * (double)pixels[i] : 0.0;
                    }
                }
                double *kept = before;
                before = corners;
                corners = kept;
            }
            sums[source * apertures + aperture] = total;
        }
}

/* Bits of the pixels that have a part nearer to the source than each radius: touched[source][aperture], 0 before. */
KERNEL void touched_bits(const uint8_t *restrict bits, ptrdiff_t ny, ptrdiff_t nx, const double *restrict xy,
                         ptrdiff_t number, const double *restrict radii, ptrdiff_t apertures, double largest,
                         uint8_t *restrict touched) {
    for (ptrdiff_t source = 0; source < number; source++) {
        const double mx = xy[2 * source], my = xy[2 * source + 1];
        const ptrdiff_t left = greater(0, (ptrdiff_t)floor(mx - largest + 0.5));
        const ptrdiff_t right = lesser(nx, (ptrdiff_t)floor(mx + largest + 0.5) + 1);
        const ptrdiff_t low = greater(0, (ptrdiff_t)floor(my - largest + 0.5));
        const ptrdiff_t high = lesser(ny, (ptrdiff_t)floor(my + largest + 0.5) + 1);
        for (ptrdiff_t y = low; y < high; y++)
            for (ptrdiff_t x = left; x < right; x++) {
                const uint8_t found = bits[y * nx + x];
                if (!found) continue;
                const double dx = fabs((double)x - mx) - 0.5, dy = fabs((double)y - my) - 0.5;
                const double away = (dx > 0.0 ? dx * dx : 0.0) + (dy > 0.0 ? dy * dy : 0.0);
                for (ptrdiff_t k = 0; k < apertures; k++)
                    if (away < radii[k] * radii[k]) touched[source * apertures + k] |= found;
            }
    }
}

/* Of whole pixels at `offsets` (dy, dx) about places (row, column) of a frame and of its template: sums of both where both
   have a value, and how many have. A place with a pixel beyond its image has none. */
KERNEL void disc_sums(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, const float *restrict template,
                      ptrdiff_t template_ny, ptrdiff_t template_nx, const int64_t *restrict places,
                      const int64_t *restrict template_places, ptrdiff_t number, const int64_t *restrict offsets,
                      ptrdiff_t pixels, ptrdiff_t reach, double *restrict found, double *restrict shown,
                      int64_t *restrict seen) {
    for (ptrdiff_t source = 0; source < number; source++) {
        const ptrdiff_t y = places[2 * source], x = places[2 * source + 1];
        const ptrdiff_t there_y = template_places[2 * source], there_x = template_places[2 * source + 1];
        double own = 0.0, other = 0.0;
        int64_t count = 0;
        const int whole = y >= reach && y < ny - reach && x >= reach && x < nx - reach && there_y >= reach &&
                          there_y < template_ny - reach && there_x >= reach && there_x < template_nx - reach;
        for (ptrdiff_t i = 0; whole && i < pixels; i++) {
            const ptrdiff_t dy = offsets[2 * i], dx = offsets[2 * i + 1];
            const float value = image[(y + dy) * nx + x + dx], light = template[(there_y + dy) * template_nx + there_x + dx];
            if (!isfinite(value) || !isfinite(light)) continue;
            own += (double)value;
            other += (double)light;
            count++;
        }
        found[source] = own;
        shown[source] = other;
        seen[source] = count;
    }
}
