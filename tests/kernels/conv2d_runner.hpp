// A convolution on a device, as its checks run it.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "device/opencl/device.hpp"
#include "kernels/conv2d_mma_check.hpp"
#include "kernels/feature_maps.hpp"
#include "tensor/layout.hpp"

namespace dovetail::testing {

/// What conv2d_mma_check.hpp asks for, of a Conv2dMma or Conv2dGpu on a device.
template <typename Convolution>
class DeviceRunner {
 public:
  DeviceRunner(opencl::Device& device, const warp::Case& c, Convolution conv)
      : device_(device), case_(c), conv_(std::move(conv)) {}

  void set_law(const std::vector<float>& rows, int pitch) {
    if constexpr (requires { conv_.set_input_law({}); }) conv_.set_input_law({upload(rows), pitch});
  }

  void set_output_norm(const std::vector<float>& y, const std::vector<float>& rows, int pitch) {
    if constexpr (requires { conv_.makes_norm_gradient(); })
      conv_.set_output_norm(upload(y), {upload(rows), pitch});
  }

  std::vector<float> forward(const std::vector<float>& x, const std::vector<float>& weight,
                             const std::vector<float>& bias) {
    const opencl::Buffer y = poisoned(case_.shape.output.size());
    conv_.forward(upload(x), upload(weight), upload(bias), y, case_.extents.batch, true);
    return device_.download<float>(y);
  }
  std::vector<float> forward_images(const ImageInput& images, std::vector<float>& x,
                                    const std::vector<float>& weight,
                                    const std::vector<float>& bias) {
    ImageSource source;
    source.pixels = device_.upload(std::span<const std::uint8_t>(images.pixels));
    source.first = images.first;
    if (!images.samples.empty())
      source.samples = device_.upload(std::span<const std::int32_t>(images.samples));
    const opencl::Buffer made = upload(x), y = poisoned(case_.shape.output.size());
    conv_.forward_images(source,
                         {upload(images.scale), upload(images.shift), images.augmentation,
                          images.seed, images.first_sample},
                         made, upload(weight), upload(bias), y, case_.extents.batch, true);
    x = device_.download<float>(made);
    return device_.download<float>(y);
  }
  /// Of the batch's tiles.
  Statistics statistics() requires requires(const Convolution& conv) { conv.statistics(); }
  {
    const TileStatistics& tiles = *conv_.statistics();
    return first_of(case_.shape.output, tiles.means, tiles.deviations, tiles.pixels);
  }
  Statistics gradient_sums() requires requires(const Convolution& conv) { conv.gradient_sums(); }
  {
    const TileGradients& tiles = *conv_.gradient_sums();
    return first_of(case_.shape.input, tiles.sums, tiles.products, tiles.pixels);
  }
  std::vector<float> input_gradient(const std::vector<float>& dy, const std::vector<float>& weight,
                                    const std::vector<float>& x) {
    const opencl::Buffer dx = poisoned(case_.shape.input.size());
    conv_.input_gradient(upload(dy), upload(weight), upload(x), dx, case_.extents.batch, true);
    return device_.download<float>(dx);
  }
  WeightGradient weight_gradient(const std::vector<float>& x, const std::vector<float>& dy) {
    const auto outs = static_cast<std::size_t>(case_.shape.output.channel_stride);
    const auto& e = case_.extents;
    const opencl::Buffer weight =
        poisoned(static_cast<std::size_t>(e.kernel * e.kernel * e.in) * outs);
    const opencl::Buffer bias = poisoned(outs);
    conv_.weight_gradient(upload(x), upload(dy), weight, bias, e.batch);
    return {device_.download<float>(weight), device_.download<float>(bias)};
  }

 private:
  Statistics first_of(const Layout& map, const opencl::Buffer& means,
                      const opencl::Buffer& deviations, int pixels) {
    const int tiles = quotient_up(case_.extents.batch * map.height * map.width, pixels);
    const auto first = [&](const opencl::Buffer& buffer) {
      std::vector<float> values = device_.download<float>(buffer);
      values.resize(extent(tiles) * extent(map.channel_stride));
      return values;
    };
    return {first(means), first(deviations), pixels};
  }
  opencl::Buffer upload(const std::vector<float>& values) {
    return device_.upload(std::span<const float>(values));
  }
  opencl::Device& device_;
  warp::Case case_;
  Convolution conv_;
};

}  // namespace dovetail::testing
