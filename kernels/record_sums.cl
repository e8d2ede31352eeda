// Of a step's sums, what the host has to know: which gradient is the first that is no finite number, and what lies
// behind the gradients.
//
// Built with SPAN: the gradients that one work-item looks at, side by side.
#ifndef SPAN
#error "record_sums.cl needs SPAN"
#endif

#include "sums_record.clh"

// sums [gradients + rest] -> record [rest + 1]: the rest, then the number of the first broken gradient where it is
// lower than what stands there.
kernel void record_sums(global const float* restrict sums, uint gradients, uint rest,
                        global uint* restrict record) {
  const uint first = get_global_id(0) * SPAN;
  const uint end = min(first + SPAN, gradients);
  uint broken = 0;
  for (uint i = first; i < end; ++i) broken |= is_broken(sums[i]);
  if (broken) {
    uint i = first;
    while (!is_broken(sums[i])) ++i;
    atomic_min(record + rest, i);
  }
  record_rest(sums, gradients, rest, record);
}
