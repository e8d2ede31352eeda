// A dense array of float32 on the host, row-major, and a named one that is learned.
#pragma once

#include <cstddef>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "support/text.hpp"

namespace dovetail {

/// Extents, outermost first; [out, in, kh, kw] for a convolution's weight.
using Shape = std::vector<std::size_t>;

inline std::size_t volume(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

inline std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

struct Tensor {
  Shape shape;
  std::vector<float> values;  // row-major, volume(shape) of them

  Tensor() = default;
  explicit Tensor(Shape extents) : shape(std::move(extents)), values(volume(shape)) {}
  std::size_t size() const { return values.size(); }
};

/// A learned tensor, in the layouts that PyTorch and ONNX use, named "<layer>.weight",
/// "<layer>.bias" …
struct Parameter {
  std::string name;
  Tensor value;
};

}  // namespace dovetail
