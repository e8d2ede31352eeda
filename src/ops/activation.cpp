// Launches ReLU, dropout and the normalisation of the input.
#include "ops/activation.hpp"

#include <cmath>
#include <span>

#include "numeric/quantisation_law.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr int philox_words = 4;  // a Philox block's words, one a channel

int lanes_of(Variant variant) {
  return variant == Variant::cpu ? 16 : 4;
}

opencl::Program build(opencl::Device& device, Variant variant) {
  return device.build(kernels::activation,
                      {fmt::format("LANES={}", lanes_of(variant)),
                       fmt::format("BLOCKS={}", variant == Variant::cpu ? 16 : 1)});
}

float checked_probability(float probability) {
  if (!(probability >= 0 && probability < 1)) {
    throw Error(fmt::format("dropout with probability {} is impossible", probability),
                "Choose one in [0, 1)");
  }
  return probability;
}

}  // namespace

Relu::Relu(opencl::Device& device, Variant variant, const Layout& layout)
    : device_(device),
      capacity_(layout.batch),
      lines_(device, variant, layout, lanes_of(variant), Lines::Rows::merged) {
  const opencl::Program program = build(device, variant);
  forward_ = program.kernel(kernels::activation_::relu_forward);
  backward_ = program.kernel(kernels::activation_::relu_backward);
}

void Relu::forward(const opencl::Buffer& x, const opencl::Buffer& y, int batch) {
  expect_batch(batch, capacity_);
  device_.launch(forward_, lines_.groups(batch * lines_.rows()), x, y, lines_.map());
}

void Relu::backward(const opencl::Buffer& y, const opencl::Buffer& dy, const opencl::Buffer& dx,
                    int batch) {
  expect_batch(batch, capacity_);
  device_.launch(backward_, lines_.groups(batch * lines_.rows()), y, dy, dx, lines_.map());
}

Dropout::Dropout(opencl::Device& device, Variant variant, const Layout& layout, float probability,
                 std::uint32_t stream)
    : device_(device),
      capacity_(layout.batch),
      lines_(device, variant, layout, philox_words, Lines::Rows::merged),
      threshold_(static_cast<std::uint32_t>(
          std::ldexp(static_cast<double>(checked_probability(probability)), 32))),
      scale_(static_cast<float>(1.0 / (1.0 - static_cast<double>(probability)))),
      stream_(stream),
      dropout_(build(device, variant).kernel(kernels::activation_::dropout)) {}

void Dropout::forward(const opencl::Buffer& x, const opencl::Buffer& y, int batch,
                      std::uint64_t seed, std::uint64_t first_sample) {
  expect_batch(batch, capacity_);
  device_.launch(dropout_, lines_.groups(batch * lines_.rows()), x, y, lines_.map(), threshold_,
                 scale_, stream_, seed, first_sample);
}

void Dropout::backward(const opencl::Buffer& dy, const opencl::Buffer& dx, int batch,
                       std::uint64_t seed, std::uint64_t first_sample) {
  forward(dy, dx, batch, seed, first_sample);
}

NormaliseInput::NormaliseInput(opencl::Device& device, Variant variant, const Layout& layout,
                               const std::vector<float>& mean, const std::vector<float>& deviation,
                               Rounding rounding)
    : device_(device),
      capacity_(layout.batch),
      lines_(device, variant, layout, layout.channel_stride, Lines::Rows::merged) {
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
  const opencl::Program program =
      device.build(kernels::normalise_input, {fmt::format("CHANNELS={}", channels)});
  if (rounding == Rounding::int8) {
    const std::vector<float> table = numeric::quantised_input_table(mean, deviation);
    table_ = device.upload(std::span<const float>(table));
    forward_ = program.kernel(kernels::normalise_input_::look_up_images);
    return;
  }
  scale_ = device.upload(std::span<const float>(scale));
  shift_ = device.upload(std::span<const float>(shift));
  forward_ = program.kernel(kernels::normalise_input_::normalise_images);
}

void NormaliseInput::forward(const opencl::Buffer& images, const opencl::Buffer& y, int batch) {
  expect_batch(batch, capacity_);
  const opencl::Range range = lines_.groups(batch * lines_.rows());
  if (table_) {
    device_.launch(forward_, range, images, y, table_, lines_.map());
  } else {
    device_.launch(forward_, range, images, y, scale_, shift_, lines_.map());
  }
}

}  // namespace dovetail
