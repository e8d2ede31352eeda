// Fake quantisation: weights and activations rounded to the numbers of low-bit inference, kept as
// float32, with straight-through gradients.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/lines.hpp"
#include "ops/quantisation_law.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// A weight as the device keeps it: [rows, column_stride] with the output channels innermost,
/// column_stride a multiple of channel_lanes. Row r holds weights where r mod period < valid (a
/// dense layer's rows follow the feature map's channels, padding lanes included), else zeros.
struct WeightMatrix {
  int rows = 0;
  int column_stride = 0;
  int period = 1;
  int valid = 1;
  int fan_in() const { return rows / period * valid; }
};

class WeightQuantiser {
 public:
  WeightQuantiser(opencl::Device& device, Variant variant, const WeightMatrix& matrix,
                  const WeightLaw& law);
  /// Works the steps out anew and writes step · code of every weight; padding becomes zero.
  void forward(const opencl::Buffer& weight, const opencl::Buffer& quantised);
  /// Zeroes, in place, the gradient of weights that the newest forward clipped
  /// (reference::weight_gradient).
  void backward(const opencl::Buffer& weight, const opencl::Buffer& gradient);

 private:
  opencl::Device& device_;
  WeightMatrix matrix_;
  WeightLaw law_;
  std::int32_t vectors_;
  opencl::Range vector_groups_, row_groups_;
  opencl::Buffer steps_;  // [column_stride]
  opencl::Kernel find_steps_, quantise_, clip_;
};

/// Buffers lie in `layout`; only interiors are written, padding lanes with zeros. `step` is one
/// float; a binary law has none and takes an empty Buffer.
class ActivationQuantiser {
 public:
  ActivationQuantiser(opencl::Device& device, Variant variant, const Layout& layout,
                      const ActivationLaw& law);
  /// reference::quantise_activations; y may be x.
  void forward(const opencl::Buffer& x, const opencl::Buffer& step, const opencl::Buffer& y,
               int batch);
  /// reference::activation_gradient; dx may be dy. Where `dstep` is a buffer, its first float
  /// becomes reference::step_gradient times the gradient scale 1 / √(elements of a sample ·
  /// highest) of the paper.
  void backward(const opencl::Buffer& x, const opencl::Buffer& step, const opencl::Buffer& dy,
                const opencl::Buffer& dx, const opencl::Buffer& dstep, int batch);

 private:
  opencl::Device& device_;
  int capacity_;
  Lines lines_;
  ActivationLaw law_;
  float gradient_scale_;
  opencl::Range sum_range_;
  opencl::Buffer lanes_;    // binary: 1 for channels, 0 for padding lanes
  opencl::Buffer partial_;  // the step's gradient by lines
  opencl::Kernel forward_, backward_, sum_;
};

}  // namespace dovetail
