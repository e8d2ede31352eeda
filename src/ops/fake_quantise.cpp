// Launches fake quantisation.
#include "ops/fake_quantise.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

namespace entries = kernels::fake_quantise_;

constexpr int group = 256;  // the most work-items of a line's group (Lines::groups)

int lanes_of(Variant variant) {
  return variant == Variant::cpu ? 16 : 4;
}

std::size_t items_of(Variant variant) {
  return variant == Variant::cpu ? 1 : 64;
}

opencl::Program build(opencl::Device& device, Variant variant) {
  return device.build(
      kernels::fake_quantise,
      {fmt::format("LANES={}", lanes_of(variant)), fmt::format("ITEMS={}", items_of(variant)),
       fmt::format("GROUP={}", variant == Variant::cpu ? 1 : group)});
}

float as_float(int value) {
  return static_cast<float>(value);
}

}  // namespace

WeightQuantiser::WeightQuantiser(opencl::Device& device, Variant variant,
                                 const WeightMatrix& matrix, const WeightLaw& law)
    : device_(device),
      matrix_(matrix),
      law_(law),
      vectors_(matrix.column_stride / lanes_of(variant)) {
  if (matrix.rows < 1 || matrix.column_stride < 1 || matrix.column_stride % channel_lanes != 0 ||
      matrix.valid < 1 || matrix.valid > matrix.period || matrix.rows % matrix.period != 0) {
    throw Error(fmt::format("a weight of {} × {} with {} rows of every {} cannot be quantised",
                            matrix.rows, matrix.column_stride, matrix.valid, matrix.period));
  }
  const std::size_t items = items_of(variant);
  const auto vectors = static_cast<std::size_t>(vectors_);
  const std::size_t across =
      variant == Variant::cpu ? 1 : std::min<std::size_t>(std::bit_ceil(vectors), 64);
  vector_groups_ = {.global = {vectors * items, 1, 1}, .local = {items, 1, 1}};
  row_groups_ = {.global = {static_cast<std::size_t>(matrix.rows), across, 1},
                 .local = {1, across, 1}};
  steps_ = device.allocate(static_cast<std::size_t>(matrix.column_stride) * sizeof(float));
  const opencl::Program program = build(device, variant);
  find_steps_ = program.kernel(entries::weight_steps);
  quantise_ = program.kernel(entries::quantise_weights);
  clip_ = program.kernel(entries::clip_weight_gradient);
}

void WeightQuantiser::forward(const opencl::Buffer& weight, const opencl::Buffer& quantised) {
  const float factor = law_.of_largest ? law_.factor : law_.factor / as_float(matrix_.fan_in());
  device_.launch(find_steps_, vector_groups_, weight, steps_, std::int32_t{matrix_.rows},
                 std::int32_t{law_.of_largest}, factor);
  device_.launch(quantise_, row_groups_, weight, steps_, quantised, vectors_,
                 std::int32_t{matrix_.period}, std::int32_t{matrix_.valid},
                 std::int32_t{law_.binary}, as_float(law_.lowest), as_float(law_.highest));
}

void WeightQuantiser::backward(const opencl::Buffer& weight, const opencl::Buffer& gradient) {
  device_.launch(clip_, row_groups_, weight, steps_, gradient, vectors_, std::int32_t{law_.binary},
                 as_float(law_.lowest), as_float(law_.highest));
}

ActivationQuantiser::ActivationQuantiser(opencl::Device& device, Variant variant,
                                         const Layout& layout, const ActivationLaw& law)
    : device_(device),
      capacity_(layout.batch),
      lines_(device, variant, layout, lanes_of(variant), Lines::Rows::merged),
      law_(law),
      gradient_scale_(1 / std::sqrt(as_float(layout.channels * layout.height * layout.width) *
                                    as_float(law.highest))),
      sum_range_{.global = {items_of(variant), 1, 1}, .local = {items_of(variant), 1, 1}} {
  const opencl::Program program = build(device, variant);
  if (law.binary) {
    std::vector<float> lanes(static_cast<std::size_t>(layout.channel_stride), 0.0f);
    std::fill_n(lanes.begin(), layout.channels, 1.0f);
    lanes_ = device.upload(std::span<const float>(lanes));
    forward_ = program.kernel(entries::sign_forward);
    backward_ = program.kernel(entries::sign_backward);
  } else {
    partial_ =
        device.allocate(static_cast<std::size_t>(layout.batch * lines_.rows()) * sizeof(float));
    forward_ = program.kernel(entries::uniform_forward);
    backward_ = program.kernel(entries::uniform_backward);
    sum_ = program.kernel(entries::sum_step_gradient);
  }
}

void ActivationQuantiser::forward(const opencl::Buffer& x, const opencl::Buffer& step,
                                  const opencl::Buffer& y, int batch) {
  expect_batch(batch, capacity_);
  const opencl::Range range = lines_.groups(batch * lines_.rows());
  if (law_.binary) {
    device_.launch(forward_, range, x, lanes_, y, lines_.map());
  } else {
    device_.launch(forward_, range, x, step, y, lines_.map(), as_float(law_.highest),
                   float{numeric::least_activation_step});
  }
}

void ActivationQuantiser::backward(const opencl::Buffer& x, const opencl::Buffer& step,
                                   const opencl::Buffer& dy, const opencl::Buffer& dx,
                                   const opencl::Buffer& dstep, int batch) {
  expect_batch(batch, capacity_);
  const std::int32_t lines = batch * lines_.rows();
  if (law_.binary) {
    device_.launch(backward_, lines_.groups(lines), x, dy, dx, lines_.map());
    return;
  }
  device_.launch(backward_, lines_.groups(lines), x, step, dy, dx, partial_, lines_.map(),
                 as_float(law_.highest), float{numeric::least_activation_step});
  if (dstep) device_.launch(sum_, sum_range_, partial_, dstep, lines, gradient_scale_);
}

}  // namespace dovetail
