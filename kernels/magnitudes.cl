// The largest magnitude in a feature map, and how often magnitudes were seen in it.
//
// Built with ITEMS (work-items of a group; 1 on CPUs) and the bins of tensor/magnitude_bins.hpp:
// BINS, DROPPED_BITS and LOWEST. Group g takes lines (rows of one image) g, g + groups, …
#if !defined(ITEMS) || !defined(BINS) || !defined(DROPPED_BITS) || !defined(LOWEST)
#error "magnitudes.cl needs ITEMS, BINS, DROPPED_BITS and LOWEST"
#endif

#define INFINITE 0x7f800000u

uint magnitude_bits(float value) {
  return as_uint(value) & 0x7fffffffu;
}

// NaN is no magnitude.
uint larger(uint largest, uint bits) {
  return bits <= INFINITE ? max(largest, bits) : largest;
}

// Adds to seen[first, first + BINS) the magnitudes of every `every`-th line of an image, of the
// first `channels` of each pixel's `stride`, and to seen[first + BINS] the bits of the largest one
// of all lines. Which lines of image n count: those whose row is n modulo `every`.
//
// @param start, image, line where pixel (n, row, 0) lies: n * image + start + row * line.
__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
kernel void magnitudes(global const float* restrict x, int start, int image, int line, int rows,
                       int columns, int stride, int channels, int lines, int every,
                       global uint* restrict seen, uint first) {
  local uint counts[BINS];
  const int item = get_local_id(0);
  for (int bin = item; bin < BINS; bin += ITEMS) counts[bin] = 0;
  barrier(CLK_LOCAL_MEM_FENCE);

  const int elements = columns * stride;
  uint largest = 0;
  uint zeros = 0;  // every other value behind a ReLU: not to be added one by one
  for (int at = get_group_id(0); at < lines; at += get_num_groups(0)) {
    const int n = at / rows;
    const int row = at % rows;
    global const float* values = x + n * (size_t)image + start + row * line;
    int i = item;
#if ITEMS == 1
    uint16 most = 0;
    for (; i + 16 <= elements; i += 16) {
      const uint16 bits = as_uint16(vload16(0, values + i)) & 0x7fffffffu;
      most = max(most, select((uint16)(0), bits, bits <= (uint16)(INFINITE)));
    }
    const uint8 eight = max(most.lo, most.hi);
    const uint4 four = max(eight.lo, eight.hi);
    const uint2 two = max(four.lo, four.hi);
    largest = max(largest, max(two.lo, two.hi));
#endif
    for (; i < elements; i += ITEMS) largest = larger(largest, magnitude_bits(values[i]));
    if ((row + every - n % every) % every != 0) continue;
    for (i = item; i < elements; i += ITEMS) {
      if (i % stride >= channels) continue;
      const uint bits = magnitude_bits(values[i]);
      if (bits == 0) {
        ++zeros;
        continue;
      }
      const int bin = clamp((int)(bits >> DROPPED_BITS) - LOWEST + 1, 0, BINS - 1);
#if ITEMS == 1
      ++counts[bin];
#else
      atomic_inc(counts + bin);
#endif
    }
  }
  if (zeros > 0) atomic_add(counts, zeros);
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int bin = item; bin < BINS; bin += ITEMS) {
    if (counts[bin] > 0) atomic_add(seen + first + bin, counts[bin]);
  }
  if (largest > 0) atomic_max(seen + first + BINS, largest);
}
