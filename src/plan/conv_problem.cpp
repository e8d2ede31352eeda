// Trials of convolutions: random operands, launches, and the twin on a few channels.
#include "plan/conv_problem.hpp"

#include <algorithm>
#include <optional>

#include "ops/reference/conv2d.hpp"
#include "ops/reference/layout.hpp"
#include "plan/trial_operands.hpp"
#include "support/error.hpp"

namespace dovetail::plan {
namespace {

std::vector<int> all_of(int count) {
  std::vector<int> indices(extent(count));
  for (int i = 0; i < count; ++i) indices[extent(i)] = i;
  return indices;
}

/// Random in the interior, zero in halo and padding lanes.
std::vector<float> random_maps(const Layout& layout, std::uint64_t seed) {
  const int pixels = layout.channels * layout.height * layout.width;
  return reference::to_device(random_values(extent(layout.batch) * extent(pixels), seed), layout);
}

}  // namespace

ConvProblem::ConvProblem(opencl::Device& device, const Conv2dShape& shape, ComputeFormat format,
                         Direction direction)
    : device_(device), shape_(shape), format_(format), direction_(direction) {
  const int in = shape.input.channels, out = shape.output.channels;
  const auto upload = [&](std::vector<float>& values, std::vector<float> filled) {
    values = std::move(filled);
    return device.upload(std::span<const float>(values));
  };
  x_buffer_ = upload(x_, random_maps(shape.input, 1));
  dy_buffer_ = upload(dy_, random_maps(shape.output, 2));
  const std::size_t elements = extent(out * in * shape.kernel * shape.kernel);
  weight_buffer_ = upload(
      weight_, reference::weight_to_device(random_values(elements, 3), out, in, shape.kernel));
  bias_ = random_values(extent(out), 4);
  bias_.resize(extent(shape.output.channel_stride), 0.0f);
  bias_buffer_ = device.upload(std::span<const float>(bias_));
}

Tuner::Trial ConvProblem::trial(std::shared_ptr<Conv2d> conv) {
  const int batch = shape_.input.batch;
  switch (direction_) {
    case Direction::forward:
      result_ = poisoned(device_, dy_.size());
      break;
    case Direction::input_gradient:
      result_ = poisoned(device_, x_.size());
      break;
    case Direction::weight_gradient:
      result_ = poisoned(device_, weight_.size());
      break;
  }
  const auto enqueue = [this, batch, conv = std::move(conv)] {
    switch (direction_) {
      case Direction::forward:
        return conv->forward(x_buffer_, weight_buffer_, bias_buffer_, result_, batch, true);
      case Direction::input_gradient:
        return conv->input_gradient(dy_buffer_, weight_buffer_, x_buffer_, result_, batch, true);
      case Direction::weight_gradient:
        return conv->weight_gradient(x_buffer_, dy_buffer_, result_, bias_buffer_, batch);
    }
  };
  return {enqueue, [this] { return fault(); }};
}

std::vector<double> ConvProblem::maps(const std::vector<float>& values, const Layout& layout,
                                      const std::vector<int>& images,
                                      const std::vector<int>& channels,
                                      ComputeFormat format) const {
  std::vector<double> canonical;
  for (const int n : images) {
    for (const int c : channels) {
      for (int row = 0; row < layout.height; ++row) {
        for (int column = 0; column < layout.width; ++column)
          canonical.push_back(
              reference::round_operand(values[layout.index(n, row, column, c)], format));
      }
    }
  }
  return canonical;
}

std::vector<double> ConvProblem::weights(const std::vector<float>& values,
                                         const std::vector<int>& outs, const std::vector<int>& ins,
                                         ComputeFormat format) const {
  std::vector<double> canonical;
  for (const int o : outs) {
    for (const int i : ins) {
      for (int tap = 0; tap < shape_.kernel * shape_.kernel; ++tap) {
        const int row = tap * shape_.input.channels + i;
        canonical.push_back(reference::round_operand(
            values[extent(row) * extent(shape_.output.channel_stride) + extent(o)], format));
      }
    }
  }
  return canonical;
}

std::vector<int> ConvProblem::spots(int channels, int images, int other_channels) const {
  constexpr double most_products = 2e7;
  const Layout& y = shape_.output;
  const double each =
      1.0 * images * y.height * y.width * shape_.kernel * shape_.kernel * other_channels;
  return spots_of(channels, std::clamp(static_cast<int>(most_products / each), 1, 3));
}

std::string ConvProblem::fault() const {
  const std::vector<float> result = device_.download<float>(result_);
  const int in = shape_.input.channels, out = shape_.output.channels, batch = shape_.input.batch;
  const std::vector<int> ends = spots_of(batch, 2);
  const auto extents = [&](int images, int ins, int outs) {
    return reference::Conv2dExtents{
        images,        ins,           outs,          shape_.input.height, shape_.input.width,
        shape_.kernel, shape_.stride, shape_.padding};
  };
  const auto count = [](const std::vector<int>& list) { return static_cast<int>(list.size()); };
  const ComputeFormat exact = ComputeFormat::float32;
  if (direction_ == Direction::forward) {
    const std::vector<int> some = spots(out, count(ends), in);
    std::vector<double> bias;
    for (const int o : some) bias.push_back(static_cast<double>(bias_[extent(o)]));
    return fault_of(
        maps(result, shape_.output, ends, some, exact),
        reference::conv2d<double>(extents(count(ends), in, count(some)),
                                  maps(x_, shape_.input, ends, all_of(in), format_),
                                  weights(weight_, some, all_of(in), format_), bias, true),
        format_);
  }
  if (direction_ == Direction::input_gradient) {
    const std::vector<int> some = spots(in, count(ends), out);
    return fault_of(maps(result, shape_.input, ends, some, exact),
                    reference::conv2d_input_gradient<double>(
                        extents(count(ends), count(some), out),
                        maps(dy_, shape_.output, ends, all_of(out), format_),
                        weights(weight_, all_of(out), some, format_),
                        maps(x_, shape_.input, ends, some, exact), true),
                    format_);
  }
  const std::vector<int> some = spots(out, batch, in);
  return fault_of(weights(result, some, all_of(in), exact),
                  reference::conv2d_weight_gradient<double>(
                      extents(batch, in, count(some)),
                      maps(x_, shape_.input, all_of(batch), all_of(in), format_),
                      maps(dy_, shape_.output, all_of(batch), some, format_)),
                  format_);
}

std::unique_ptr<Conv2d> tuned_conv(Tuner& tuner, opencl::Device& device, const Conv2dShape& room,
                                   int batch, ComputeFormat format,
                                   const std::vector<Direction>& directions) {
  Conv2dShape shape = room;
  shape.input.batch = shape.output.batch = batch;
  std::optional<ConvKernels> chosen;
  for (const Direction direction : directions) {
    const std::vector<ConvKernels> kernels = conv_candidates(device, shape, direction);
    std::vector<Tuner::Candidate> candidates;
    for (const ConvKernels& each : kernels) {
      const bool is_other = chosen && each.variant != chosen->variant;
      candidates.push_back(
          {each.name(direction), is_other ? 1e3 : estimated_cost(device, each.variant)});
    }
    std::optional<ConvProblem> problem;  // made where something is to be measured
    const Layout &x = shape.input, &y = shape.output;
    const std::size_t choice = tuner.choose(
        fmt::format("conv {0}x{0} {1}->{2} on {3}x{4}, stride {5}, padding {6}, halos {7} {8}, "
                    "batch {9}, {10}, {11}",
                    shape.kernel, x.channels, y.channels, x.height, x.width, shape.stride,
                    shape.padding, x.halo, y.halo, x.batch, to_string(format),
                    to_string(direction)),
        candidates, [&](std::size_t i) {
          if (!problem) problem.emplace(device, shape, format, direction);
          return problem->trial(std::make_shared<Conv2d>(device, kernels[i], shape, format));
        });
    if (!chosen) chosen = ConvKernels{.variant = kernels[choice].variant};
    switch (direction) {
      case Direction::forward:
        chosen->forward = kernels[choice].forward;
        break;
      case Direction::input_gradient:
        chosen->input_gradient = kernels[choice].input_gradient;
        break;
      case Direction::weight_gradient:
        chosen->groups = kernels[choice].groups;
        break;
    }
  }
  if (!chosen) throw Error("a convolution without a direction");
  return std::make_unique<Conv2d>(device, *chosen, room, format);
}

}  // namespace dovetail::plan
