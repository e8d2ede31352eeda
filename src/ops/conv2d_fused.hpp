// What the convolutions for GPUs have alike, however they cut their products into tiles.
#pragma once

#include <cstdint>

#include "device/opencl/device.hpp"
#include "ops/conv2d_pool.hpp"
#include "ops/finish.hpp"
#include "ops/norm_law.hpp"
#include "ops/sum_chunks.hpp"

namespace dovetail {

/// Conv2dGpu and Conv2dMma without their products.
class Conv2dFused {
 public:
  /// Of a shape that is normalised: forward, and the gradients behind it, take for x what `law`
  /// makes of it.
  void set_input_law(const NormLaw& law) { input_law_ = law; }

 protected:
  Conv2dFused(opencl::Device& device, const Conv2dPoolShape& shape, bool training)
      : device_(device), shape_(shape), training_(training) {}

  /// Throws Error for more images than the shape has.
  void expect_room(int batch) const;
  /// And where there are no gradients.
  void expect_gradients(int batch) const;
  /// Throws Error where the input gradient would look beyond dy's halo.
  void expect_halo() const;
  /// Of kernels that need no law, anything.
  const opencl::Buffer& law_or(const opencl::Buffer& other) const;
  /// Of a forward pass: a sum of Finish.
  std::int32_t finish(bool relu) const {
    return finish_bias | (relu ? finish_relu : finish_none) |
           (keeps_places() ? finish_places : finish_none);
  }
  void make_places();
  /// For weight gradients in so many chunks.
  void make_sums(int chunks);
  /// For more of them.
  void reserve_partial(int chunks);
  void sum_partial(const opencl::Buffer& dweight, const opencl::Buffer& dbias, int chunks,
                   int passes);

  opencl::Device& device_;
  Conv2dPoolShape shape_;
  bool training_;
  NormLaw input_law_;
  opencl::Buffer places_;   // uint8 [batch, height, width, channel_stride]: where the maxima were
  opencl::Buffer partial_;  // gradients per chunk of pixels

 private:
  bool keeps_places() const { return training_ && shape_.pool > 1; }
  SumChunks sum_chunks_;
};

}  // namespace dovetail
