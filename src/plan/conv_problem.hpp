// Chooses the kernels of a convolution's products, with and without the max-pool behind it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ops/conv2d.hpp"
#include "ops/conv2d_gpu.hpp"
#include "ops/conv2d_mma.hpp"
#include "ops/conv2d_pool.hpp"
#include "plan/tuner.hpp"

namespace dovetail::plan {

// Each gives the convolution with the tuner's choices for `directions`, those that will be used,
// and `batch` images, perhaps not as many as the shape has room for. Very large batches are
// measured with fewer images, which fill a device as well.

/// All three products take one family of kernels, as they share the layout of packed weights: the
/// first's.
std::unique_ptr<Conv2d> tuned_conv(Tuner& tuner, opencl::Device& device, const Conv2dShape& room,
                                   int batch, ComputeFormat format,
                                   const std::vector<Direction>& directions, int step_passes = 1);
std::unique_ptr<Conv2dPool> tuned_conv_pool(Tuner& tuner, opencl::Device& device,
                                            const Conv2dPoolShape& room, int batch, bool training,
                                            ComputeFormat format,
                                            const std::vector<Direction>& directions,
                                            int step_passes = 1);
std::unique_ptr<Conv2dGpu> tuned_conv_gpu(Tuner& tuner, opencl::Device& device,
                                          const Conv2dPoolShape& room, int batch, bool training,
                                          ComputeFormat format,
                                          const std::vector<Direction>& directions,
                                          int step_passes = 1);
/// `same_bits`: only among kernels that give the same bits.
std::unique_ptr<Conv2dMma> tuned_conv_mma(Tuner& tuner, opencl::Device& device,
                                          const Conv2dPoolShape& room, int batch, bool training,
                                          ComputeFormat format,
                                          const std::vector<Direction>& directions,
                                          int step_passes = 1, bool same_bits = false);

/// Random operands of one product, and what its twin makes of them.
class ConvProblem {
 public:
  /// A pool of 1: none.
  ConvProblem(opencl::Device& device, const Conv2dPoolShape& shape, ComputeFormat format,
              Direction direction);

  /// For the tuner; the problem must outlive it. Gradients are those of a forward pass that is not
  /// rectified, which runs first.
  template <typename Convolution>
  Tuner::Trial trial(std::shared_ptr<Convolution> conv) {
    prepare_result();
    const int batch = shape_.input.batch;
    if constexpr (requires { conv->set_input_law(law_); }) conv->set_input_law(law_);
    if constexpr (requires { conv->set_output_norm(z_buffer_, output_law_); })
      if (z_buffer_) conv->set_output_norm(z_buffer_, output_law_);
    if (direction_ == Direction::forward) {
      return {[this, conv, batch] {
                conv->forward(x_buffer_, weight_buffer_, bias_buffer_, result_, batch, true);
              },
              [this, conv] {
                const std::string wrong = fault();
                if constexpr (requires { conv->statistics(); }) {
                  if (wrong.empty() && conv->statistics()) return fault_of(*conv->statistics());
                }
                return wrong;
              }};
    }
    conv->forward(x_buffer_, weight_buffer_, bias_buffer_, y_buffer_, batch, false);
    if (direction_ == Direction::input_gradient) {
      return {[this, conv, batch] {
                conv->input_gradient(dy_buffer_, weight_buffer_, x_buffer_, result_, batch, true);
              },
              [this, conv] {
                const std::string wrong = fault();
                if constexpr (requires { conv->gradient_sums(); }) {
                  if (wrong.empty() && conv->gradient_sums())
                    return fault_of(*conv->gradient_sums());
                }
                return wrong;
              }};
    }
    return {[this, conv, batch] {
              conv->weight_gradient(x_buffer_, dy_buffer_, result_, dbias_buffer_, batch);
            },
            [this] { return fault(); }};
  }

  /// What is wrong with the result, or nothing. The twin is asked for some images, and for all
  /// channels of theirs or the gradients of a few; in the others dy is zero.
  std::string fault() const;

 private:
  /// Of the result's statistics, for which three tiles stand.
  std::string fault_of(const TileStatistics& tiles) const;
  std::string fault_of(const TileGradients& tiles) const;
  /// `moments(first, pixels)`: the two numbers of each channel that a tile is to have.
  template <typename Moments>
  std::string fault_of_tiles(const Layout& layout, int tile_pixels, const opencl::Buffer& first,
                             const opencl::Buffer& second, const Moments& moments) const;
  void prepare_result();
  /// Makes of x_ what the law makes of it; what it was before.
  std::vector<float> normalise_x();
  /// Draws the output and law of a batch norm behind it, and makes of dy_ what they make of it;
  /// what it was before.
  std::vector<float> take_dy_through_norm();
  /// Of the images in seen_, [image, channel, row, column].
  std::vector<double> maps(const std::vector<float>& values, const Layout& layout,
                           const std::vector<int>& channels, ComputeFormat format) const;
  std::vector<double> weights(const std::vector<float>& values, const std::vector<int>& outs,
                              const std::vector<int>& ins, ComputeFormat format) const;
  /// The gradient in front of the pool that the twin gets, from that behind it.
  std::vector<double> gradient_before_pool() const;
  /// Zeros in dy where rounding may decide which pixel of a window is its maximum, and in the
  /// images that the twin does not look at.
  void clear_gradients();
  std::string forward_fault(const std::vector<float>& result) const;

  opencl::Device& device_;
  Conv2dPoolShape shape_;
  ComputeFormat format_;
  Direction direction_;
  std::vector<int> seen_;                      // images
  std::vector<float> x_, dy_, weight_, bias_;  // x_ and dy_: as they are multiplied
  NormLaw law_;               // of the buffer of x, where the shape has it normalised
  NormLaw output_law_;        // of those of dy and z, where the shape has the norm's gradient
  std::vector<double> conv_;  // the twin's output in front of the pool, of the seen images
  opencl::Buffer x_buffer_, dy_buffer_, weight_buffer_, bias_buffer_, dbias_buffer_, y_buffer_,
      z_buffer_, result_;
};

}  // namespace dovetail::plan
