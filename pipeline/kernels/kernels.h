/* What all kernels need. They take contiguous arrays, allocate nothing and call nobody. */

#ifndef TIANYU_KERNELS_H
#define TIANYU_KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Compiled for wide registers and for any processor of its kind; the loader takes what this one has. Both give the
   same numbers: nothing is contracted, and sums are in the order in which they are written. */
#if defined(__x86_64__) && defined(__GLIBC__)
#define KERNEL __attribute__((target_clones("avx2", "default")))
#else
#define KERNEL
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { BLOCK = 32 };  /* pixels that are looked at together, for most are dark */

enum { REGISTER = 8 };  /* floats of a wide register */
/* Where a compiler does not find by itself that values can be looked at together. Comparing gives -1 for true. */
typedef float Register __attribute__((vector_size(4 * REGISTER)));
typedef int32_t Counts __attribute__((vector_size(4 * REGISTER)));
typedef uint8_t Marks __attribute__((vector_size(REGISTER)));
#define LOAD(register, from) __builtin_memcpy(&(register), (from), sizeof(register))
#define STORE(register, to) __builtin_memcpy((to), &(register), sizeof(register))

static inline int any_above(const float *values, ptrdiff_t number, float threshold) {
    int any = 0;
    if (number == BLOCK)  /* which the compiler does at once */
        for (int k = 0; k < BLOCK; k++) any |= values[k] > threshold;
    else
        for (ptrdiff_t k = 0; k < number; k++) any |= values[k] > threshold;
    return any;
}

static inline ptrdiff_t lesser(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t greater(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

#endif
