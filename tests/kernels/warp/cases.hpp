// The convolutions whose tensor-core kernels the host runs: for the program that writes them out
// and for the test.
#pragma once

#include <vector>

#include "ops/compute_format.hpp"
#include "ops/conv2d_pool.hpp"
#include "ops/reference/conv2d.hpp"

namespace dovetail::warp {

struct Case {
  reference::Conv2dExtents extents;
  int pool;
  ComputeFormat format;
  Conv2dPoolShape shape;
};

/// @param halo  beyond what the padding needs, of the input; of the output beyond the gradient's.
inline Case make_case(const reference::Conv2dExtents& e, int pool, ComputeFormat format,
                      bool narrow, int halo) {
  Case c{e, pool, format, {{}, {}, e.kernel, e.stride, e.padding, pool}};
  const int border = std::max(0, e.kernel - 1 - e.padding);
  c.shape.input = narrow ? input_map(e.batch + 1, e.height, e.width, e.in, e.padding + halo)
                         : feature_map(e.batch + 1, e.height, e.width, e.in, e.padding + halo);
  c.shape.output = feature_map(e.batch + 1, e.out_height() / pool, e.out_width() / pool, e.out,
                               (pool > 1 ? 0 : border) + halo);
  return c;
}

/// The nets' shapes; padded channels, odd extents, other kernels and strides.
inline std::vector<Case> cases() {
  using enum ComputeFormat;
  return {
      make_case({3, 1, 32, 28, 28, 3, 1, 1}, 2, tf32, true, 0),
      make_case({3, 32, 64, 14, 14, 3, 1, 1}, 2, tf32, false, 0),
      make_case({1, 3, 64, 32, 32, 3, 1, 1}, 1, bf16, true, 1),
      make_case({3, 64, 128, 8, 8, 3, 1, 1}, 1, bf16, false, 0),
      make_case({2, 20, 40, 9, 11, 5, 1, 1}, 2, fp16, false, 1),
      make_case({5, 48, 17, 5, 7, 2, 1, 0}, 1, tf32, false, 2),
      make_case({2, 2, 16, 15, 13, 5, 2, 2}, 2, fp16, true, 0),
  };
}

}  // namespace dovetail::warp
