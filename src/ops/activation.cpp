// Launches ReLU and dropout.
#include "ops/activation.hpp"

#include <cmath>

#include "dovetail_kernels.hpp"
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

}  // namespace dovetail
