// Trials of chains of dense layers: random operands, launches, and the twins layer by layer.
#include "plan/chain_problem.hpp"

#include <cmath>
#include <optional>

#include "ops/reference/loss.hpp"
#include "ops/reference/matmul.hpp"
#include "plan/trial_operands.hpp"
#include "tensor/layout.hpp"

namespace dovetail::plan {

ChainProblem::ChainProblem(opencl::Device& device, const DenseChainShape& shape, int batch,
                           ComputeFormat format)
    : device_(device),
      shape_(shape),
      entries_(dense_chain::table(layers_, batch)),
      batch_(batch),
      format_(format),
      x_(random_values(extent(batch) * extent(layers_.front().in), 1)),
      parameters_(random_values(shape.all_parameters(), 2)) {
  for (const DenseChainLayer& layer : layers_) {  // so that values keep their size
    const float scale = 2 / std::sqrt(static_cast<float>(layer.in));
    for (std::size_t i = 0; i < extent(layer.in) * extent(layer.out); ++i)
      parameters_[layer.weight + i] *= scale;
  }
  for (int i = 0; i < batch; ++i) labels_.push_back(i % shape_.classes);
  x_buffer_ = device.upload(std::span<const float>(x_));
  parameters_buffer_ = device.upload(std::span<const float>(parameters_));
  labels_buffer_ = device.upload(std::span<const std::int32_t>(labels_));
  gradients_ = device.allocate(shape.all_parameters() * sizeof(float));
  if (shape.propagates) dx_ = device.allocate(x_.size() * sizeof(float));
  statistics_ = device.allocate(3 * sizeof(float));
}

void ChainProblem::poison(const opencl::Buffer& buffer) {
  const opencl::Buffer poison = poisoned(device_, buffer.bytes() / sizeof(float));
  device_.copy(poison, buffer, buffer.bytes());
  device_.finish();
}

ChainProblem::Doubles ChainProblem::rows_of(const std::vector<float>& maps, std::size_t first,
                                            int width, const std::vector<int>& rows,
                                            ComputeFormat format) const {
  Doubles values;
  for (const int row : rows) {
    for (int i = 0; i < width; ++i)
      values.push_back(
          reference::round_operand(maps[first + extent(row) * extent(width) + extent(i)], format));
  }
  return values;
}

ChainProblem::Doubles ChainProblem::input_of(const std::vector<float>& maps, std::size_t layer,
                                             const std::vector<int>& rows,
                                             ComputeFormat format) const {
  const int width = layers_[layer].in;
  return layer == 0 ? rows_of(x_, 0, width, rows, format)
                    : rows_of(maps, entries_[layer - 1].output, width, rows, format);
}

ChainProblem::Doubles ChainProblem::weight_of(std::size_t layer) const {
  const DenseChainLayer& l = layers_[layer];
  Doubles weight;
  for (int out = 0; out < l.out; ++out) {
    for (int in = 0; in < l.in; ++in)
      weight.push_back(reference::round_operand(
          parameters_[l.weight + extent(in) * extent(l.out) + extent(out)], format_));
  }
  return weight;
}

ChainProblem::Doubles ChainProblem::bias_of(std::size_t layer) const {
  const auto first = parameters_.begin() + static_cast<std::ptrdiff_t>(layers_[layer].bias);
  return {first, first + layers_[layer].out};
}

ChainProblem::Doubles ChainProblem::last_gradient(const std::vector<float>& maps,
                                                  const std::vector<int>& rows) const {
  const std::size_t last = layers_.size() - 1;  // whose output is not kept
  const int out = layers_[last].out;
  const Doubles y =
      reference::matmul({rows.size(), extent(layers_[last].in), extent(out)},
                        input_of(maps, last, rows, format_), weight_of(last), bias_of(last), false);
  Doubles logits;
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = y.begin() + static_cast<std::ptrdiff_t>(i * extent(out));
    logits.insert(logits.end(), row, row + shape_.classes);
    labels.push_back(labels_[extent(rows[i])]);
  }
  const auto found = reference::softmax_cross_entropy(logits, labels);
  Doubles gradient(rows.size() * extent(out));
  for (std::size_t i = 0; i < found.gradient.size(); ++i)
    gradient[i / extent(shape_.classes) * extent(out) + i % extent(shape_.classes)] =
        found.gradient[i];
  return gradient;
}

std::string ChainProblem::rows_fault(const opencl::Buffer& buffer) const {
  const std::vector<float> maps = device_.download<float>(buffer);
  const std::vector<int> rows = spots_of(batch_);
  const ComputeFormat exact = ComputeFormat::float32;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const DenseChainLayer& layer = layers_[i];
    const bool is_last = i + 1 == layers_.size();
    const Doubles y = rows_of(maps, entries_[i].output, layer.out, rows, exact);
    const Doubles gradient = rows_of(maps, entries_[i].gradient, layer.out, rows, exact);
    std::string fault =
        is_last ? ""
                : fault_of(y,
                           reference::matmul({rows.size(), extent(layer.in), extent(layer.out)},
                                             input_of(maps, i, rows, format_), weight_of(i),
                                             bias_of(i), true),
                           format_);
    if (fault.empty() && is_last) fault = fault_of(gradient, last_gradient(maps, rows), format_);
    if (fault.empty() && !is_last) {
      const int next = layers_[i + 1].out;
      fault = fault_of(gradient,
                       reference::matmul_input_gradient(
                           {rows.size(), extent(layer.out), extent(next)},
                           rows_of(maps, entries_[i + 1].gradient, next, rows, format_),
                           weight_of(i + 1), y, true),
                       format_);
    }
    if (!fault.empty()) return fmt::format("layer {}: {}", i + 1, fault);
  }
  if (!shape_.propagates) return "";
  const DenseChainLayer& first = layers_.front();
  const std::string fault =
      fault_of(rows_of(device_.download<float>(dx_), 0, first.in, rows, exact),
               reference::matmul_input_gradient(
                   {rows.size(), extent(first.in), extent(first.out)},
                   rows_of(maps, entries_.front().gradient, first.out, rows, format_), weight_of(0),
                   input_of(maps, 0, rows, exact), true),
               format_);
  return fault.empty() ? "" : fmt::format("the input's gradient: {}", fault);
}

std::string ChainProblem::weights_fault(const opencl::Buffer& buffer) const {
  const std::vector<float> maps = device_.download<float>(buffer);
  const std::vector<float> gradients = device_.download<float>(gradients_);
  const std::vector<int> rows = all_of(batch_);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const DenseChainLayer& layer = layers_[i];
    const std::vector<int> spots = spots_of(layer.in);
    const Doubles all = input_of(maps, i, rows, format_);
    Doubles x, found;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      for (const int spot : spots) x.push_back(all[row * extent(layer.in) + extent(spot)]);
    }
    for (int out = 0; out < layer.out; ++out) {
      for (const int spot : spots)
        found.push_back(gradients[layer.weight + extent(spot) * extent(layer.out) + extent(out)]);
    }
    const Doubles dy = rows_of(maps, entries_[i].gradient, layer.out, rows, format_);
    Doubles expected =
        reference::matmul_weight_gradient({rows.size(), spots.size(), extent(layer.out)}, x, dy);
    const auto bias = gradients.begin() + static_cast<std::ptrdiff_t>(layer.bias);
    found.insert(found.end(), bias, bias + layer.out);
    const Doubles sums_of_dy = reference::matmul_bias_gradient(
        {rows.size(), extent(layer.in), extent(layer.out)},
        rows_of(maps, entries_[i].gradient, layer.out, rows, ComputeFormat::float32));
    expected.insert(expected.end(), sums_of_dy.begin(), sums_of_dy.end());
    const std::string fault = fault_of(found, expected, format_);
    if (!fault.empty()) return fmt::format("layer {}: {}", i + 1, fault);
  }
  return "";
}

DenseChainKernels tuned_chain(Tuner& tuner, opencl::Device& device, const DenseChainShape& shape,
                              int batch, ComputeFormat format, bool same_bits) {
  std::string widths = fmt::format("{}", shape.layers.front().in);
  for (const DenseChainLayer& layer : shape.layers) widths += fmt::format("->{}", layer.out);
  std::optional<ChainProblem> problem;  // made where something is to be measured
  const auto choose = [&](Direction direction, const std::string& what) {
    auto kernels = dense_chain_candidates(shape, batch, device.info().compute_units, direction);
    const int usual_depth = kernels.front().part_depth;
    if (same_bits)
      std::erase_if(kernels, [&](const auto& each) { return each.part_depth != usual_depth; });
    std::vector<Tuner::Candidate> candidates;
    for (const DenseChainKernels& each : kernels) candidates.push_back({each.name(direction)});
    return kernels[tuner.choose(fmt::format("dense {}, {} rows, {}, {}{}", widths, batch,
                                            to_string(format), what, remark_of(same_bits)),
                                candidates, [&](std::size_t i) {
                                  if (!problem) problem.emplace(device, shape, batch, format);
                                  return problem->trial(
                                      std::make_shared<DenseChain>(device, shape, batch, format,
                                                                   kernels[i]),
                                      direction);
                                })];
  };
  DenseChainKernels chosen = choose(
      Direction::forward, shape.propagates ? "forward and to its input" : "forward and backward");
  if (same_bits) {
    chosen.part_depth = 0;
  } else {
    chosen.groups_per_unit = choose(Direction::weight_gradient, "weight gradients").groups_per_unit;
  }
  return chosen;
}

}  // namespace dovetail::plan
