#include "kernels.h"

/* Numbers of the other byte order, and of 16 bits those with some bits turned besides. */

KERNEL void swap_2(const uint16_t *restrict from, ptrdiff_t number, uint16_t turned, uint16_t *restrict to) {
    for (ptrdiff_t k = 0; k < number; k++) to[k] = (uint16_t)((uint16_t)(from[k] << 8 | from[k] >> 8) ^ turned);
}

KERNEL void swap_4(const uint32_t *restrict from, ptrdiff_t number, uint32_t *restrict to) {
    for (ptrdiff_t k = 0; k < number; k++) to[k] = __builtin_bswap32(from[k]);
}

KERNEL void swap_8(const uint64_t *restrict from, ptrdiff_t number, uint64_t *restrict to) {
    for (ptrdiff_t k = 0; k < number; k++) to[k] = __builtin_bswap64(from[k]);
}
