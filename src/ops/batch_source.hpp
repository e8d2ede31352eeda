// Where the samples of a batch lie on the device: among others, maybe.
#pragma once

#include <cstdint>

#include "device/opencl/device.hpp"

namespace dovetail {

/// The images of a batch.
struct ImageSource {
  opencl::Buffer pixels;     // uint8 [samples, channels, height, width]
  opencl::Buffer samples{};  // int32: image n is number samples[first + n]; without it, number n
  std::uint32_t first = 0;   // in samples
};

/// The labels of a batch: image n's is labels[first + n].
struct LabelSource {
  opencl::Buffer labels;  // int32
  std::uint32_t first = 0;
};

}  // namespace dovetail
