// From the data set's pixels to the network's input.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/augmentation.hpp"
#include "ops/batch_source.hpp"
#include "ops/lines.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// x = pixel · scale + shift, both float32 [channels]. The images of a batch may be augmented
/// first: number n of it is sample `first_sample` + n of the training.
struct ChannelLaws {
  opencl::Buffer scale, shift;
  Augmentation augmentation{};
  std::uint64_t seed = 0, first_sample = 0;
};

/// Launches a kernel that makes its input from images: these are its first parameters, `rest` the
/// others.
template <typename... Rest>
void launch_from_images(opencl::Device& device, const opencl::Kernel& kernel,
                        const opencl::Range& range, const ImageSource& images,
                        const ChannelLaws& laws, const Rest&... rest) {
  const bool gathers = static_cast<bool>(images.samples);
  const Augmentation& augmentation = laws.augmentation;
  device.launch(kernel, range, images.pixels, gathers ? images.samples : images.pixels,
                images.first, std::int32_t{gathers}, laws.scale, laws.shift,
                std::int32_t{augmentation.crop}, std::int32_t{augmentation.flip},
                std::int32_t{augmentation.erase}, laws.seed, laws.first_sample, rest...);
}

/// uint8 images → normalised float32 feature maps: (x / 255 − mean[c]) / deviation[c]; rounded to
/// int8 as numeric::quantised_input_table says where asked to.
class NormaliseInput {
 public:
  enum class Rounding { none, int8 };
  /// mean and deviation hold one value a channel, the deviations above 0; the layout is an
  /// input_map, its channel_stride its channels. Throws Error otherwise.
  NormaliseInput(opencl::Device& device, Variant variant, const Layout& layout,
                 const std::vector<float>& mean, const std::vector<float>& deviation,
                 Rounding rounding = Rounding::none, const Augmentation& augmentation = {});
  /// Images that a feature map has room for from now on.
  void set_capacity(int batch) { capacity_ = batch; }
  void forward(const ImageSource& images, const opencl::Buffer& y, int batch);
  /// What forward_augmented() does; none where it rounds.
  std::optional<ChannelLaws> channel_laws(std::uint64_t seed, std::uint64_t first_sample) const {
    if (table_) return std::nullopt;
    return ChannelLaws{scale_, shift_, augmentation_, seed, first_sample};
  }
  /// The same, augmented; `first_sample` numbers image 0 of this batch within the training.
  void forward_augmented(const ImageSource& images, const opencl::Buffer& y, int batch,
                         std::uint64_t seed, std::uint64_t first_sample);

 private:
  /// Built when first asked for.
  const opencl::Kernel& kernel(bool gathers, bool augments);
  template <typename... Draws>
  void launch(const ImageSource& images, const opencl::Buffer& y, int batch, const Lines& lines,
              const Draws&... draws);

  opencl::Device& device_;
  int channels_;
  int capacity_;
  Augmentation augmentation_;
  Lines lines_;           // merged where the feature map has no halo
  Lines true_lines_;      // one a row of an image, which augmentation needs
  opencl::Buffer table_;  // [channels, 256], where it rounds
  opencl::Buffer scale_;
  opencl::Buffer shift_;
  std::array<std::array<opencl::Kernel, 2>, 2> kernels_;  // [gathers][augments]
};

}  // namespace dovetail
