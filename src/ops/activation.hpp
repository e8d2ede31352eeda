// Elementwise operations of feature maps: ReLU, dropout, and the network's input.
#pragma once

#include <cstdint>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// y = max(0, x), where the ReLU could not be fused into the operation before it.
class Relu {
 public:
  Relu(opencl::Device& device, Variant variant, const Layout& layout);
  void forward(const opencl::Buffer& x, const opencl::Buffer& y, int batch);
  /// dx = dy where y > 0, else 0. dx may be dy.
  void backward(const opencl::Buffer& y, const opencl::Buffer& dy, const opencl::Buffer& dx, int batch);
};

/// Inverted dropout: keeps an element with probability 1 − p and scales it by 1 / (1 − p).
/// The mask comes from the counter-based generator Philox4x32-10 (Salmon et al., SC 2011) keyed by `seed`; its counter is
/// (global sample index, element within the sample / 4), so the mask of a sample does not depend on the rank that holds it.
class Dropout {
 public:
  Dropout(opencl::Device& device, Variant variant, const Layout& layout, float probability);
  /// `first_sample` numbers sample 0 of this batch within the whole training (epoch and position).
  void forward(const opencl::Buffer& x, const opencl::Buffer& y, int batch, std::uint64_t seed,
               std::uint64_t first_sample);
  /// The same seed and first_sample as in forward. dx may be dy.
  void backward(const opencl::Buffer& dy, const opencl::Buffer& dx, int batch, std::uint64_t seed,
                std::uint64_t first_sample);
};

/// uint8 images [batch, channels, height, width] → normalised float32 feature maps: (x / 255 − mean[c]) / deviation[c].
class NormaliseInput {
 public:
  NormaliseInput(opencl::Device& device, Variant variant, const Layout& layout, const std::vector<float>& mean,
                 const std::vector<float>& deviation);
  void forward(const opencl::Buffer& images, const opencl::Buffer& y, int batch);
};

}  // namespace dovetail
