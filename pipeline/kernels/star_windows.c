#include "kernels.h"

enum { ROUNDS = 16 };                       /* of a centre, at most */
static const double STEP_MINIMUM = 1e-4;    /* px, of a centre that moves no more */

/* Weights of a Gaussian at the pixels from first on. */
static inline void weights_along(ptrdiff_t first, ptrdiff_t number, double centre, double variance, double *weights) {
    for (ptrdiff_t k = 0; k < number; k++) {
        const double distance = (double)(first + k) - centre;
        weights[k] = exp(-distance * distance / (2.0 * variance));
    }
}

/* Of the pixels within `reach` of x, y to each side, of those that are no NaN, under a Gaussian: sum, first and second
   moments about x, y. weights: double[2][2 reach + 1]. */
static inline void window_moments(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, double x, double y, double variance,
                                  ptrdiff_t reach, double *restrict weights, double *restrict moments) {
    const ptrdiff_t column = (ptrdiff_t)nearbyint(x), row = (ptrdiff_t)nearbyint(y), side = 2 * reach + 1;
    const ptrdiff_t left = greater(column - reach, 0), right = lesser(column + reach, nx - 1);
    const ptrdiff_t low = greater(row - reach, 0), high = lesser(row + reach, ny - 1);
    for (int k = 0; k < 6; k++) moments[k] = 0.0;
    if (left > right || low > high) return;
    double *const along = weights, *const up = weights + side;
    weights_along(left, right - left + 1, x, variance, along);
    weights_along(low, high - low + 1, y, variance, up);
    for (ptrdiff_t j = low; j <= high; j++) {
        double sum = 0.0, first = 0.0, second = 0.0;
        for (ptrdiff_t i = left; i <= right; i++) {
            const float pixel = image[j * nx + i];
            const double light = pixel == pixel ? (double)pixel * along[i - left] : 0.0, dx = (double)i - x;
            sum += light;
            first += light * dx;
            second += light * dx * dx;
        }
        const double weight = up[j - low], dy = (double)j - y;
        moments[0] += weight * sum;
        moments[1] += weight * first;
        moments[2] += weight * sum * dy;
        moments[3] += weight * second;
        moments[4] += weight * sum * dy * dy;
        moments[5] += weight * first * dy;
    }
}

/* Whether a place is on the image, or so near that its window is. */
static inline int is_near(double x, double y, ptrdiff_t ny, ptrdiff_t nx, ptrdiff_t reach) {
    return x > (double)-reach && y > (double)-reach && x < (double)(nx + reach) && y < (double)(ny + reach);
}

/* moments: double[number][6]: sum, x, y, xx, yy, xy under a Gaussian; work: double[2][2 reach + 1]. */
KERNEL void gaussian_moments(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, const double *restrict x,
                             const double *restrict y, ptrdiff_t number, double variance, ptrdiff_t reach,
                             double *restrict work, double *restrict moments) {
    for (ptrdiff_t k = 0; k < number; k++) {
        double *const own = moments + 6 * k;
        if (is_near(x[k], y[k], ny, nx, reach))
            window_moments(image, ny, nx, x[k], y[k], variance, reach, work, own);
        else
            for (int n = 0; n < 6; n++) own[n] = 0.0;
    }
}

/* Moves x, y to the centres of light under a Gaussian that moves with them: by twice the first moment in each round. */
KERNEL void windowed_centres(const float *restrict image, ptrdiff_t ny, ptrdiff_t nx, double *restrict x, double *restrict y,
                             ptrdiff_t number, double variance, ptrdiff_t reach, double *restrict work) {
    for (ptrdiff_t k = 0; k < number; k++)
        for (int round = 0; round < ROUNDS; round++) {
            double moments[6];
            if (!is_near(x[k], y[k], ny, nx, reach)) break;
            window_moments(image, ny, nx, x[k], y[k], variance, reach, work, moments);
            if (!(moments[0] > 0.0)) break;
            const double dx = 2.0 * moments[1] / moments[0], dy = 2.0 * moments[2] / moments[0];
            x[k] += dx;
            y[k] += dy;
            if (dx * dx + dy * dy < STEP_MINIMUM * STEP_MINIMUM) break;
        }
}
