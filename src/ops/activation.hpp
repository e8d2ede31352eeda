// Elementwise operations of feature maps: ReLU and dropout.
#pragma once

#include <cstdint>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/lines.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// y = max(0, x), where the ReLU could not be fused into the operation before it. A NaN stays a
/// NaN. All buffers lie in `layout`, whose channel_stride is a multiple of channel_lanes; only
/// interiors are written.
class Relu {
 public:
  Relu(opencl::Device& device, Variant variant, const Layout& layout);
  /// y may be x.
  void forward(const opencl::Buffer& x, const opencl::Buffer& y, int batch);
  /// dx = dy where y > 0, else 0. dx may be dy.
  void backward(const opencl::Buffer& y, const opencl::Buffer& dy, const opencl::Buffer& dx,
                int batch);

 private:
  opencl::Device& device_;
  int capacity_;
  Lines lines_;
  opencl::Kernel forward_;
  opencl::Kernel backward_;
};

/// Inverted dropout: keeps an element with probability 1 − p and scales it by 1 / (1 − p).
/// The mask comes from the counter-based generator Philox4x32-10 (Salmon et al., SC 2011) keyed by
/// `seed`; its counter is (global sample index in 64 bits, element within the sample / 4, stream),
/// so the mask of a sample depends neither on the rank that holds it nor on its place in the batch.
/// Elements are numbered (row · width + column) · channel_stride + channel, halo or not; element e
/// is kept where word e mod 4 of its block is ≥ p · 2³². All buffers lie in `layout`, whose
/// channel_stride is a multiple of channel_lanes; only interiors are written.
class Dropout {
 public:
  /// Throws Error unless 0 ≤ probability < 1. Layers of a network take streams of their own, such
  /// as their numbers: their masks are then independent of each other under one seed.
  Dropout(opencl::Device& device, Variant variant, const Layout& layout, float probability,
          std::uint32_t stream);
  /// `first_sample` numbers sample 0 of this batch within the whole training (epoch and position).
  /// y may be x.
  void forward(const opencl::Buffer& x, const opencl::Buffer& y, int batch, std::uint64_t seed,
               std::uint64_t first_sample);
  /// The same seed and first_sample as in forward. dx may be dy.
  void backward(const opencl::Buffer& dy, const opencl::Buffer& dx, int batch, std::uint64_t seed,
                std::uint64_t first_sample);

 private:
  opencl::Device& device_;
  int capacity_;
  Lines lines_;
  std::uint32_t threshold_;
  float scale_;
  std::uint32_t stream_;
  opencl::Kernel dropout_;
};

}  // namespace dovetail
