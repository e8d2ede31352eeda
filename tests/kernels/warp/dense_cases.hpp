// The chains of dense layers whose tensor-core kernels the host runs: for the program that writes
// them out and for the test.
#pragma once

#include <vector>

#include "ops/dense_chain_tiles.hpp"

namespace dovetail::warp {

struct DenseCase : DenseChainShape {
  int batch = 0;
  ComputeFormat format{};
  int compute_units = 0;  // decides on the tiles
};

/// Of three channels where that is possible, and as square as can be.
inline DenseChainShape::Image image_of_size(int size) {
  const int channels = size % 3 == 0 ? 3 : 1, plane = size / channels;
  int height = 1;
  for (int rows = 1; rows * rows <= plane; ++rows)
    if (plane % rows == 0) height = rows;
  return {channels, height, plane / height};
}

/// @param widths  with padding, the input's first.
/// @param gap  floats between the parameters, which belong to none.
inline DenseCase make_dense_case(const std::vector<int>& widths, int batch, int classes,
                                 ComputeFormat format, int compute_units, std::size_t gap,
                                 bool propagates = false) {
  DenseCase c{{.classes = classes, .propagates = propagates}, batch, format, compute_units};
  c.first_parameter = propagates ? 160 : 0;  // those of the layers in front
  std::size_t end = c.first_parameter;
  const auto reserve = [&](int floats) {
    const std::size_t at = end + gap;
    end = at + static_cast<std::size_t>(floats);
    return at;
  };
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    DenseChainLayer layer{widths[i], widths[i + 1]};
    layer.weight = reserve(layer.in * layer.out);
    layer.bias = reserve(layer.out);
    c.layers.push_back(layer);
  }
  c.parameters = end + gap - c.first_parameter;
  if (!propagates) c.image = image_of_size(widths.front());
  return c;
}

/// The net `mlp`, few samples and many a work-group, and the same samples both ways; other depths
/// and widths; a batch that is smaller than a tile. First layers apart: several parts and one,
/// their input's gradient wanted or not, widths that no tile divides.
inline std::vector<DenseCase> dense_cases() {
  using enum ComputeFormat;
  return {
      make_dense_case({784, 256, 128, 16}, 21, 10, tf32, 132, 0),
      make_dense_case({784, 256, 128, 16}, 75, 10, bf16, 1, 32),
      make_dense_case({784, 256, 128, 16}, 21, 10, tf32, 1, 0),
      make_dense_case({48, 80, 32}, 7, 25, fp16, 132, 16),
      make_dense_case({16, 32, 64, 16, 16}, 139, 3, tf32, 2, 48),
      make_dense_case({1040, 80, 16}, 70, 10, tf32, 132, 16),
      make_dense_case({1104, 144, 16}, 67, 7, bf16, 132, 0),
      make_dense_case({1072, 48, 32, 16}, 21, 11, fp16, 1, 0, true),
      make_dense_case({96, 144, 16}, 139, 16, bf16, 132, 32, true),
  };
}

}  // namespace dovetail::warp
