// Chooses the kernels of a dense layer's products.
#pragma once

#include <array>
#include <memory>

#include "ops/matmul.hpp"
#include "plan/tuner.hpp"

namespace dovetail::plan {

/// The products of one dense layer, each by its own kernels. Those that are equal share them.
class DenseProducts {
 public:
  /// The usual kernels of a variant for `rows` rows.
  DenseProducts(opencl::Device& device, Variant variant, const MatmulShape& shape, int rows,
                ComputeFormat format);
  /// The tuner's choice for `rows` rows. `directions`: those that will be used; the others take the
  /// forward product's kernels.
  DenseProducts(Tuner& tuner, opencl::Device& device, const MatmulShape& shape, int rows,
                ComputeFormat format, const std::vector<Direction>& directions);

  Matmul& of(Direction direction) { return *products_[static_cast<std::size_t>(direction)]; }
  bool emulates_format() const;
  bool joins(const JoinedBatch& rows) const;

 private:
  std::array<std::shared_ptr<Matmul>, 3> products_;
};

/// Random operands of one product, and what its twin makes of them.
class DenseProblem {
 public:
  DenseProblem(opencl::Device& device, const MatmulShape& shape, int rows, ComputeFormat format,
               Direction direction);

  /// For the tuner; the problem must outlive it.
  Tuner::Trial trial(std::shared_ptr<Matmul> matmul);
  /// The twin is asked for three rows, or for the weights of three inputs.
  std::string fault() const;

 private:
  std::vector<double> operand(const std::vector<float>& values, const std::vector<int>& rows,
                              int columns) const;
  std::vector<double> turned_weight() const;

  opencl::Device& device_;
  MatmulShape shape_;
  int rows_;
  ComputeFormat format_;
  Direction direction_;
  std::vector<float> x_, dy_, weight_, bias_;
  opencl::Buffer x_buffer_, dy_buffer_, weight_buffer_, bias_buffer_, result_;
};

}  // namespace dovetail::plan
