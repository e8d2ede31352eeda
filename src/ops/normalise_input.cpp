// Launches the normalisation of the input.
#include "ops/normalise_input.hpp"

#include <span>
#include <string>

#include "dovetail_kernels.hpp"
#include "numeric/quantisation_law.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

NormaliseInput::NormaliseInput(opencl::Device& device, Variant variant, const Layout& layout,
                               const std::vector<float>& mean, const std::vector<float>& deviation,
                               Rounding rounding, const Augmentation& augmentation)
    : device_(device),
      channels_(layout.channels),
      capacity_(layout.batch),
      augmentation_(augmentation),
      lines_(device, variant, layout, layout.channel_stride, Lines::Rows::merged),
      true_lines_(device, variant, layout, layout.channel_stride) {
  const auto channels = static_cast<std::size_t>(layout.channels);
  if (layout.channel_stride != layout.channels || mean.size() != channels ||
      deviation.size() != channels) {
    throw Error(fmt::format("normalising {} channels of stride {} with {} means and {} deviations",
                            layout.channels, layout.channel_stride, mean.size(), deviation.size()));
  }
  std::vector<float> scale(channels);
  std::vector<float> shift(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    if (!(deviation[c] > 0)) {
      throw Error(
          fmt::format("channel {} of the data set has a standard deviation of {}", c, deviation[c]),
          "Make the shards anew, or leave out the channel that never changes");
    }
    scale[c] = static_cast<float>(1.0 / (255.0 * static_cast<double>(deviation[c])));
    shift[c] =
        static_cast<float>(-static_cast<double>(mean[c]) / static_cast<double>(deviation[c]));
  }
  if (rounding == Rounding::int8) {
    const std::vector<float> table = numeric::quantised_input_table(mean, deviation);
    table_ = device.upload(std::span<const float>(table));
  } else {
    scale_ = device.upload(std::span<const float>(scale));
    shift_ = device.upload(std::span<const float>(shift));
  }
  kernel(false, false);  // a device that cannot build it says so before training
}

const opencl::Kernel& NormaliseInput::kernel(bool gathers, bool augments) {
  opencl::Kernel& kernel = kernels_[gathers ? 1 : 0][augments ? 1 : 0];
  if (kernel) return kernel;
  std::vector<std::string> definitions{fmt::format("CHANNELS={}", channels_)};
  if (gathers) definitions.push_back("GATHER");
  if (augments) {
    definitions.push_back("AUGMENT");
    definitions.push_back(fmt::format("CROP={}", augmentation_.crop));
    definitions.push_back(fmt::format("FLIP={}", augmentation_.flip ? 1 : 0));
    definitions.push_back(fmt::format("ERASE={}", augmentation_.erase));
  }
  kernel = device_.build(kernels::normalise_input, definitions)
               .kernel(table_ ? kernels::normalise_input_::look_up_images
                              : kernels::normalise_input_::normalise_images);
  return kernel;
}

template <typename... Draws>
void NormaliseInput::launch(const ImageSource& images, const opencl::Buffer& y, int batch,
                            const Lines& lines, const Draws&... draws) {
  const bool gathers = static_cast<bool>(images.samples);
  const opencl::Kernel& chosen = kernel(gathers, sizeof...(draws) > 0);
  const std::int32_t count = batch * lines.rows();
  opencl::Range range = lines.groups(count);
  if (!device_.is_cpu()) {
    // A line alone is short for a work-group.
    const std::size_t together = 256 / (range.local[1] * range.local[2]);
    range.local[0] = together;
    range.global[0] = (range.global[0] + together - 1) / together * together;
  }
  const auto with_tables = [&](const auto&... sources) {
    if (table_) {
      device_.launch(chosen, range, sources..., y, table_, lines.map(), count, draws...);
    } else {
      device_.launch(chosen, range, sources..., y, scale_, shift_, lines.map(), count, draws...);
    }
  };
  if (gathers) {
    with_tables(images.pixels, images.samples, images.first);
  } else {
    with_tables(images.pixels);
  }
}

void NormaliseInput::forward(const ImageSource& images, const opencl::Buffer& y, int batch) {
  expect_batch(batch, capacity_);
  launch(images, y, batch, lines_);
}

void NormaliseInput::forward_augmented(const ImageSource& images, const opencl::Buffer& y,
                                       int batch, std::uint64_t seed, std::uint64_t first_sample) {
  if (!augmentation_.any()) return forward(images, y, batch);
  expect_batch(batch, capacity_);
  launch(images, y, batch, true_lines_, seed, first_sample);
}

}  // namespace dovetail
