// Lays integer weights out for the device and launches the integer kernels.
#include "ops/integer.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "dovetail_kernels.hpp"
#include "numeric/engine_layout.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {
namespace {

namespace entries = kernels::integer_;

constexpr int lanes = 16;
constexpr int tile = 4;    // outputs a work-item, as in integer.cl
constexpr int group = 64;  // work-items along the positions

/// Work-items: `across` × `count`, the latter rounded up to whole groups.
opencl::Range items(int across, int count) {
  return {.global = {extent(across), extent(engine::round_up(count, group)), 1},
          .local = {1, group, 1}};
}

void expect(bool holds, const char* operation, const char* what) {
  if (!holds) throw Error(fmt::format("an integer {} on the device: {}", operation, what));
}

void expect_window(const char* operation, const IntegerMap& in, const IntegerMap& out, int kernel,
                   int stride, int padding, int batch) {
  expect(batch >= 1, operation, "the batch is empty");
  expect(kernel >= 1 && stride >= 1 && padding >= 0 && padding < kernel, operation,
         "its kernel, stride or padding is out of range");
  expect(kernel <= in.height + 2 * padding && kernel <= in.width + 2 * padding, operation,
         "its kernel is larger than the padded map");
  expect(out.height == engine::output_extent(in.height, kernel, stride, padding) &&
             out.width == engine::output_extent(in.width, kernel, stride, padding),
         operation, "its output's extents do not follow from its input's");
}

}  // namespace

int IntegerMap::vectors() const {
  return engine::divide_up(channels, lanes);
}

std::size_t IntegerMap::bytes() const {
  return extent(pixels()) * extent(vectors()) * lanes;
}

std::size_t IntegerMap::index(int c, int row, int column) const {
  return extent(row * width + column) * extent(vectors()) * lanes + extent(c);
}

IntegerFilter::IntegerFilter(const IntegerMap& inputs, int outputs, int bits, std::int32_t low)
    : inputs_(inputs),
      outputs_(outputs),
      bits_(bits),
      fields_(engine::parameter_fields(bits)),
      low_(low) {
  if (bits != 1 && bits != 2 && bits != 4 && bits != 8 && bits != engine::raw_bits)
    throw Error(fmt::format("integer activations of {} bits", bits), "Choose 1, 2, 4, 8 or 32");
  const std::size_t stored = extent(engine::round_up(outputs, lanes));
  weights_.assign(stored * inputs.bytes(), 0);
  parameters_.assign(stored * extent(fields_),
                     bits < 8 ? std::numeric_limits<std::int32_t>::max() : 0);
  if (bits >= 8) return;
  for (std::size_t out = 0; out < stored; ++out) parameters_[out * extent(fields_)] = 0;
}

void IntegerFilter::set_weight(int out, int in, int row, int column, std::int8_t value) {
  weights_[extent(out) * inputs_.bytes() + inputs_.index(in, row, column)] = value;
}

void IntegerFilter::set_requantisation(int out, std::int32_t bias, std::int32_t multiplier,
                                       std::int32_t shift) {
  expect(bits_ >= 8, "filter", "its activations have thresholds");
  std::copy_n(std::array{bias, multiplier, shift}.data(), 3, &parameters_[extent(out * fields_)]);
}

void IntegerFilter::set_thresholds(int out, std::span<const std::int32_t> thresholds,
                                   bool downwards) {
  expect(bits_ < 8 && thresholds.size() == extent(engine::levels(bits_)), "filter",
         "its activations have another number of thresholds");
  std::int32_t* fields = &parameters_[extent(out * fields_)];
  fields[0] = downwards ? engine::levels(bits_) : 0;
  std::copy(thresholds.begin(), thresholds.end(), fields + 1);
}

IntegerKernels::IntegerKernels(opencl::Device& device) : device_(device) {
  const opencl::Program program = device.build(kernels::integer, {fmt::format("LANES={}", lanes)});
  quantise_input_ = program.kernel(entries::quantise_input);
  conv2d_ = program.kernel(entries::conv2d);
  dense_ = program.kernel(entries::dense);
  dense_raw_ = program.kernel(entries::dense_raw);
  max_pool_ = program.kernel(entries::max_pool);
}

IntegerKernels::Loaded IntegerKernels::load(const IntegerFilter& filter) {
  return {.inputs = filter.inputs(),
          .outputs = filter.outputs(),
          .bits = filter.bits(),
          .low = filter.low(),
          .weights = device_.upload(std::span(filter.weights())),
          .parameters = device_.upload(std::span(filter.parameters()))};
}

void IntegerKernels::quantise_input(const opencl::Buffer& pixels, const opencl::Buffer& tables,
                                    const opencl::Buffer& y, const IntegerMap& out, int batch) {
  expect(batch >= 1, "input", "the batch is empty");
  const std::int32_t count = batch * out.pixels();
  const opencl::Range range{.global = {extent(engine::round_up(count, group)), 1, 1},
                            .local = {group, 1, 1}};
  device_.launch(quantise_input_, range, pixels, tables, y, count, std::int32_t{out.channels},
                 std::int32_t{out.pixels()});
}

void IntegerKernels::conv2d(const opencl::Buffer& x, const IntegerMap& in, const Loaded& filter,
                            int stride, int padding, const opencl::Buffer& y, const IntegerMap& out,
                            int batch) {
  const int kernel = filter.inputs.height;
  expect_window("convolution", in, out, kernel, stride, padding, batch);
  expect(filter.inputs == IntegerMap{in.channels, kernel, kernel} && filter.outputs == out.channels,
         "convolution", "its filter has other channels");
  expect(filter.bits <= 8, "convolution", "it cannot leave raw accumulators");
  const std::int32_t count = batch * out.pixels();
  device_.launch(conv2d_, items(out.vectors() * lanes / tile, count), x, filter.weights,
                 filter.parameters, y, std::int32_t{in.height}, std::int32_t{in.width},
                 std::int32_t{in.vectors()}, std::int32_t{out.height}, std::int32_t{out.width},
                 std::int32_t{out.vectors()}, count, std::int32_t{filter.outputs},
                 std::int32_t{kernel}, std::int32_t{stride}, std::int32_t{padding},
                 std::int32_t{filter.bits}, filter.low);
}

void IntegerKernels::dense(const opencl::Buffer& x, const Loaded& filter, const opencl::Buffer& y,
                           int batch) {
  expect(batch >= 1, "dense layer", "the batch is empty");
  const std::int32_t vectors = filter.inputs.pixels() * filter.inputs.vectors();
  const std::int32_t out_vectors = engine::divide_up(filter.outputs, lanes);
  const opencl::Range range = items(out_vectors * lanes / tile, batch);
  const std::int32_t outputs = filter.outputs, count = batch;
  if (filter.bits == engine::raw_bits) {
    device_.launch(dense_raw_, range, x, filter.weights, filter.parameters, y, vectors, out_vectors,
                   count, outputs);
  } else {
    device_.launch(dense_, range, x, filter.weights, filter.parameters, y, vectors, out_vectors,
                   count, outputs, std::int32_t{filter.bits}, filter.low);
  }
}

void IntegerKernels::max_pool(const opencl::Buffer& x, const IntegerMap& in, int window, int stride,
                              const opencl::Buffer& y, const IntegerMap& out, int batch) {
  expect_window("max-pool", in, out, window, stride, 0, batch);
  expect(in.channels == out.channels, "max-pool", "it keeps the channels");
  const std::int32_t count = batch * out.pixels();
  device_.launch(max_pool_, items(out.vectors(), count), x, y, std::int32_t{in.height},
                 std::int32_t{in.width}, std::int32_t{in.vectors()}, std::int32_t{out.height},
                 std::int32_t{out.width}, count, std::int32_t{window}, std::int32_t{stride});
}

}  // namespace dovetail
