// The chains of dense layers whose tensor-core kernels the host runs: for the program that writes
// them out and for the test.
#pragma once

#include <vector>

#include "ops/dense_chain_tiles.hpp"

namespace dovetail::warp {

struct DenseCase {
  int batch, classes;
  ComputeFormat format;
  int compute_units;  // decides on the tiles
  std::vector<DenseChainLayer> layers;
  std::size_t parameters = 0;
};

/// @param widths  with padding, the input's first.
/// @param gap  floats between the parameters, which belong to none.
inline DenseCase make_dense_case(const std::vector<int>& widths, int batch, int classes,
                                 ComputeFormat format, int compute_units, std::size_t gap) {
  DenseCase c{batch, classes, format, compute_units, {}};
  const auto reserve = [&](int floats) {
    const std::size_t at = c.parameters + gap;
    c.parameters = at + static_cast<std::size_t>(floats);
    return at;
  };
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    DenseChainLayer layer{widths[i], widths[i + 1]};
    layer.weight = reserve(layer.in * layer.out);
    layer.bias = reserve(layer.out);
    c.layers.push_back(layer);
  }
  c.parameters += gap;
  return c;
}

/// The net `mlp`, few samples and many a work-group, and the same samples both ways; other depths
/// and widths; a batch that is smaller than a tile.
inline std::vector<DenseCase> dense_cases() {
  using enum ComputeFormat;
  return {
      make_dense_case({784, 256, 128, 16}, 21, 10, tf32, 132, 0),
      make_dense_case({784, 256, 128, 16}, 75, 10, bf16, 1, 32),
      make_dense_case({784, 256, 128, 16}, 21, 10, tf32, 1, 0),
      make_dense_case({48, 80, 32}, 7, 25, fp16, 132, 16),
      make_dense_case({16, 32, 64, 16, 16}, 139, 3, tf32, 2, 48),
  };
}

}  // namespace dovetail::warp
