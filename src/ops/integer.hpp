// The layers of an integer network in every format wXaY: quantisation of the input, convolution,
// dense layer and max-pool, bit for bit as the FPGA engine computes them
// (numeric/engine_layout.hpp, numeric/requantise.hpp).
//
// A map is [batch][height][width][stored] of int8 values, not codes: a 1-bit activation is −1 or
// +1. `stored` is the number of channels rounded up to 16 lanes; lanes beyond the channels hold 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "device/opencl/device.hpp"

namespace dovetail {

/// Extents of one image's map. A dense layer's vector has height and width 1.
struct IntegerMap {
  int channels = 0, height = 1, width = 1;

  int vectors() const;  // of 16 lanes a pixel
  int pixels() const { return height * width; }
  std::size_t bytes() const;  // of one image
  /// Index within the image of channel c at (row, column).
  std::size_t index(int c, int row, int column) const;
  bool operator==(const IntegerMap&) const = default;
};

/// Weights of one layer and what turns its accumulators into activations, built on the host. All
/// weights are 0 and no threshold is ever reached until they are set.
class IntegerFilter {
 public:
  /// @param inputs        channels, and the kernel's rows and columns; of a dense layer the whole
  ///                      map before it
  /// @param bits          of the activations: 1, 2, 4, 8, or 32 for raw accumulators. Throws Error
  ///                      for others.
  /// @param low           where 8-bit activations are clamped from below
  IntegerFilter(const IntegerMap& inputs, int outputs, int bits, std::int32_t low = -128);

  void set_weight(int out, int in, int row, int column, std::int8_t value);
  /// For 8 bits as numeric::requantise; for raw accumulators the bias alone counts.
  void set_requantisation(int out, std::int32_t bias, std::int32_t multiplier, std::int32_t shift);
  /// For 1, 2 and 4 bits: 2^bits − 1 thresholds, of which the activation counts those reached or,
  /// downwards, those not reached. Throws Error for another number.
  void set_thresholds(int out, std::span<const std::int32_t> thresholds, bool downwards);

  const IntegerMap& inputs() const { return inputs_; }
  int outputs() const { return outputs_; }
  int bits() const { return bits_; }
  std::int32_t low() const { return low_; }
  const std::vector<std::int8_t>& weights() const { return weights_; }
  const std::vector<std::int32_t>& parameters() const { return parameters_; }

 private:
  IntegerMap inputs_;
  int outputs_, bits_, fields_;
  std::int32_t low_;
  std::vector<std::int8_t> weights_;      // [outputs, rounded up][row][column][stored]
  std::vector<std::int32_t> parameters_;  // [outputs, rounded up][field]
};

/// The kernels on one device. Launches are enqueued in order and not waited for. Each throws Error
/// where shapes do not follow from one another, the batch is no positive number, or the device
/// fails.
class IntegerKernels {
 public:
  /// A filter in device memory.
  struct Loaded {
    IntegerMap inputs;
    int outputs = 0, bits = 8;
    std::int32_t low = -128;
    opencl::Buffer weights, parameters;
  };

  /// Builds the kernels. Throws Error with the compiler's log.
  explicit IntegerKernels(opencl::Device& device);

  Loaded load(const IntegerFilter& filter);

  /// pixels [batch, channels, height, width] of uint8 through tables [channels, 256] of int8; y a
  /// map of `out`.
  void quantise_input(const opencl::Buffer& pixels, const opencl::Buffer& tables,
                      const opencl::Buffer& y, const IntegerMap& out, int batch);

  /// A square kernel; taps in the padding count as 0. x a map of `in`, y of `out`, which has the
  /// filter's outputs as channels and the extents (in + 2 · padding − kernel) / stride + 1.
  void conv2d(const opencl::Buffer& x, const IntegerMap& in, const Loaded& filter, int stride,
              int padding, const opencl::Buffer& y, const IntegerMap& out, int batch);

  /// x a map of filter.inputs, y vectors with the filter's outputs; of 32 bits: [batch][outputs
  /// rounded up to 16] of int32.
  void dense(const opencl::Buffer& x, const Loaded& filter, const opencl::Buffer& y, int batch);

  /// Maxima over windows without padding. Extents (in − size) / stride + 1, the same channels.
  void max_pool(const opencl::Buffer& x, const IntegerMap& in, int size, int stride,
                const opencl::Buffer& y, const IntegerMap& out, int batch);

 private:
  opencl::Device& device_;
  opencl::Kernel quantise_input_, conv2d_, dense_, dense_raw_, max_pool_;
};

}  // namespace dovetail
