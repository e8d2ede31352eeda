// The sum of what work-groups of another kernel left.
#pragma once

#include "device/opencl/device.hpp"

namespace dovetail {

/// Of partial sums [passes, chunks, size], float32: over the chunks of each pass, and over the
/// passes. The order of a sum depends on `size` and the numbers of chunks and passes alone.
class SumChunks {
 public:
  SumChunks() = default;
  SumChunks(opencl::Device& device, int size);

  /// Column c goes to weight[first + c], or from `weights` on to bias[c − weights].
  void run(opencl::Device& device, const opencl::Buffer& partial, const opencl::Buffer& weight,
           const opencl::Buffer& bias, int chunks, int passes, int weights, int first = 0);

 private:
  int size_ = 0;
  int lanes_ = 1;  // work-items that share a sum
  opencl::Kernel kernel_;
};

}  // namespace dovetail
