// Trials of dense layers: random operands, launches, and the twin on a few rows.
#include "plan/dense_problem.hpp"

#include <algorithm>
#include <optional>

#include "ops/reference/matmul.hpp"
#include "plan/trial_operands.hpp"

namespace dovetail::plan {
namespace {

std::size_t area(int rows, int columns) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
}

}  // namespace

DenseProblem::DenseProblem(opencl::Device& device, const MatmulShape& shape, int rows,
                           ComputeFormat format, Direction direction)
    : device_(device), shape_(shape), rows_(rows), format_(format), direction_(direction) {
  const auto upload = [&](std::vector<float>& values, std::size_t count, std::uint64_t seed) {
    values = random_values(count, seed);
    return device.upload(std::span<const float>(values));
  };
  x_buffer_ = upload(x_, area(rows, shape.in), 1);
  dy_buffer_ = upload(dy_, area(rows, shape.out), 2);
  weight_buffer_ = upload(weight_, area(shape.in, shape.out), 3);
  bias_buffer_ = upload(bias_, area(1, shape.out), 4);
}

Tuner::Trial DenseProblem::trial(std::shared_ptr<Matmul> matmul) {
  result_ = poisoned_result(device_, direction_, x_.size(), dy_.size(), weight_.size());
  const auto enqueue = [this, matmul = std::move(matmul)] {
    switch (direction_) {
      case Direction::forward:
        return matmul->forward(x_buffer_, weight_buffer_, bias_buffer_, result_, rows_, true);
      case Direction::input_gradient:
        return matmul->input_gradient(dy_buffer_, weight_buffer_, x_buffer_, result_, rows_, true);
      case Direction::weight_gradient:
        return matmul->weight_gradient(x_buffer_, dy_buffer_, result_, bias_buffer_, rows_);
    }
  };
  return {enqueue, [this] { return fault(); }};
}

std::vector<double> DenseProblem::operand(const std::vector<float>& values,
                                          const std::vector<int>& rows, int columns) const {
  std::vector<double> read;
  for (const int row : rows) {
    for (int i = 0; i < columns; ++i)
      read.push_back(reference::round_operand(values[area(row, columns) + area(1, i)], format_));
  }
  return read;
}

std::vector<double> DenseProblem::turned_weight() const {
  std::vector<double> turned;
  for (int out = 0; out < shape_.out; ++out) {
    for (int in = 0; in < shape_.in; ++in)
      turned.push_back(
          reference::round_operand(weight_[area(in, shape_.out) + area(1, out)], format_));
  }
  return turned;
}

std::string DenseProblem::fault() const {
  const std::vector<float> result = device_.download<float>(result_);
  if (std::any_of(result.begin(), result.end(), [](float value) { return std::isnan(value); }))
    return "a part of its result is no number, or not written";
  const auto in = static_cast<std::size_t>(shape_.in), out = static_cast<std::size_t>(shape_.out);
  if (direction_ == Direction::weight_gradient) {
    const std::vector<int> spots = spots_of(shape_.in);
    std::vector<double> x, found(spots.size() * out);
    for (int row = 0; row < rows_; ++row) {
      for (const int spot : spots)
        x.push_back(reference::round_operand(x_[area(row, shape_.in) + area(1, spot)], format_));
    }
    for (std::size_t o = 0; o < out; ++o) {
      for (std::size_t i = 0; i < spots.size(); ++i)
        found[o * spots.size() + i] = static_cast<double>(result[area(spots[i], shape_.out) + o]);
    }
    return fault_of(found,
                    reference::matmul_weight_gradient<double>(
                        {static_cast<std::size_t>(rows_), spots.size(), out}, x,
                        operand(dy_, all_of(rows_), shape_.out)),
                    format_);
  }
  const std::vector<int> spots = spots_of(rows_);
  const bool is_forward = direction_ == Direction::forward;
  const int columns = is_forward ? shape_.out : shape_.in;
  std::vector<double> found;
  for (const int spot : spots) {
    const auto row = result.begin() + static_cast<std::ptrdiff_t>(area(spot, columns));
    found.insert(found.end(), row, row + columns);
  }
  const reference::MatmulExtents extents{spots.size(), in, out};
  const std::vector<double> x = operand(x_, spots, shape_.in);
  if (is_forward) {
    return fault_of(
        found,
        reference::matmul<double>(extents, x, turned_weight(), {bias_.begin(), bias_.end()}, true),
        format_);
  }
  return fault_of(found,
                  reference::matmul_input_gradient<double>(extents, operand(dy_, spots, shape_.out),
                                                           turned_weight(), x, true),
                  format_);
}

DenseProducts::DenseProducts(opencl::Device& device, Variant variant, const MatmulShape& shape,
                             int rows, ComputeFormat format) {
  products_.fill(std::make_shared<Matmul>(
      device, usual_matmul(device, variant, shape, rows, format), shape, format));
}

DenseProducts::DenseProducts(Tuner& tuner, opencl::Device& device, const MatmulShape& shape,
                             int rows, ComputeFormat format,
                             const std::vector<Direction>& directions) {
  std::vector<std::pair<MatmulKernels, std::shared_ptr<Matmul>>> made;
  const auto make = [&](const MatmulKernels& kernels) {
    const auto at = std::ranges::find(made, kernels, [](const auto& each) { return each.first; });
    if (at != made.end()) return at->second;
    return made.emplace_back(kernels, std::make_shared<Matmul>(device, kernels, shape, format))
        .second;
  };
  // Without gradients to come the weight stays, and CPUs have other kernels for it.
  const bool keeps = device.is_cpu() && directions == std::vector{Direction::forward};
  for (const Direction direction : directions) {
    const auto kernels = matmul_candidates(device, shape, rows, format, direction);
    std::vector<Tuner::Candidate> candidates;
    for (const MatmulKernels& each : kernels)
      candidates.push_back({each.name(), estimated_cost(device, each.variant)});
    std::optional<DenseProblem> problem;  // made where something is to be measured
    const std::size_t choice = tuner.choose(
        fmt::format("dense {}->{}, {} rows, {}, {}{}", shape.in, shape.out, rows, to_string(format),
                    to_string(direction), keeps ? " with a weight that stays" : ""),
        candidates, [&](std::size_t i) {
          if (!problem) problem.emplace(device, shape, rows, format, direction);
          const std::shared_ptr<Matmul> matmul = make(kernels[i]);
          if (keeps) matmul->keep_weight();
          return problem->trial(matmul);
        });
    const std::shared_ptr<Matmul> chosen = make(kernels[choice]);
    chosen->release_weight();  // the trial's
    products_[static_cast<std::size_t>(direction)] = chosen;
  }
  for (std::shared_ptr<Matmul>& unused : products_) {
    if (!unused) unused = products_.front();
  }
}

bool DenseProducts::emulates_format() const {
  return std::any_of(products_.begin(), products_.end(),
                     [](const auto& product) { return product->emulates_format(); });
}

bool DenseProducts::joins(const JoinedBatch& rows) const {
  return std::all_of(products_.begin(), products_.end(),
                     [&](const auto& product) { return product->joins(rows); });
}

}  // namespace dovetail::plan
