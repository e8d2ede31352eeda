// The sums over a batch that batch normalisation makes, and what follows from them per channel.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/joined_batch.hpp"
#include "ops/lines.hpp"
#include "ops/norm_law.hpp"
#include "ops/tile_statistics.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// A pass's lines are cut into slices, each summed up by itself; the slices' results are folded in
/// a fixed order. Everything per channel is [passes, channel_stride], but for gamma, dgamma and
/// dbeta. Memory for several passes comes when they first do.
class BatchNormSums {
 public:
  static int lanes(Variant variant) { return variant == Variant::cpu ? 16 : 4; }

  /// @param layout of x. Throws Error unless epsilon > 0 and the layout's channel_stride is a
  /// multiple of channel_lanes.
  BatchNormSums(opencl::Device& device, Variant variant, const Layout& layout, float epsilon);

  struct Slices {  // of a pass
    std::int32_t lines;
    std::int32_t slice_lines;
    std::int32_t count;
  };
  Slices slices(std::int32_t pass_lines) const;

  /// Each pass's mean and biased variance, and law() from them. With `tiles` of a single pass, x is
  /// not read.
  void statistics(const opencl::Buffer& x, const opencl::Buffer& gamma, const opencl::Buffer& beta,
                  const opencl::Buffer& mean, const opencl::Buffer& variance,
                  const JoinedBatch& batch, const TileStatistics* tiles = nullptr);
  /// law() from given statistics.
  void inference(const opencl::Buffer& gamma, const opencl::Buffer& beta,
                 const opencl::Buffer& mean, const opencl::Buffer& variance);
  /// dbeta and dgamma over all passes, and gradient_scale(), offset() and slope() from what first()
  /// and second() hold of `slices` slices a pass: sums of dy and of dy · (x − mean).
  void gradients(std::int32_t slices, const JoinedBatch& batch, const opencl::Buffer& gamma,
                 const opencl::Buffer& variance, const opencl::Buffer& dgamma,
                 const opencl::Buffer& dbeta);
  /// The same from tiles of a single pass.
  void gradients(const TileGradients& tiles, int batch, const opencl::Buffer& gamma,
                 const opencl::Buffer& variance, const opencl::Buffer& dgamma,
                 const opencl::Buffer& dbeta);

  const Lines& lines() const { return lines_; }
  const opencl::Buffer& first() const { return slice_first_; }
  const opencl::Buffer& second() const { return slice_second_; }
  /// Of a pass, after the other row by row for several: y = (x − mean) · scale + beta. After
  /// gradients() it also holds gradient_scale, offset and slope.
  NormLaw law() const { return {law_, law_row_}; }
  const opencl::Buffer& scale() const { return scale_; }  // of law()
  // Of law(): dx = (dy − offset − (x − mean) · slope) · gradient_scale.
  const opencl::Buffer& gradient_scale() const { return gradient_scale_; }
  const opencl::Buffer& offset() const { return offset_; }
  const opencl::Buffer& slope() const { return slope_; }
  const opencl::Program& program() const { return program_; }  // of batch_norm.cl

 private:
  opencl::Range folding_groups(int passes) const;
  std::int32_t pixels(const JoinedBatch& batch) const {  // of a pass
    return batch.each * lines_.rows() * lines_.columns();
  }
  void fold_gradients(const opencl::Buffer& sums, const opencl::Buffer& products,
                      std::int32_t slices, const JoinedBatch& batch, const opencl::Buffer& gamma,
                      const opencl::Buffer& variance, const opencl::Buffer& dgamma,
                      const opencl::Buffer& dbeta);
  void reserve(int passes);

  opencl::Device& device_;
  int capacity_;
  int lanes_;
  Lines lines_;
  std::int32_t max_slices_;
  std::size_t fold_items_;
  float epsilon_;
  std::size_t channel_bytes_;
  int passes_ = 0;               // there is memory for
  opencl::Buffer slice_first_;   // means, or sums of dy: [passes, slices, channel_stride]
  opencl::Buffer slice_second_;  // squared deviations, or sums of dy · (x − mean)
  // [mean, scale, beta, gradient_scale, offset, slope][law_row_]
  opencl::Buffer law_;
  std::int32_t law_row_ = 0;                                // floats
  opencl::Buffer scale_, gradient_scale_, offset_, slope_;  // within law_
  opencl::Program program_;
  opencl::Kernel slice_statistics_, batch_statistics_, inference_law_, batch_gradients_;
};

}  // namespace dovetail
