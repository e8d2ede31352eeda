// Matrix products of dense layers: forward with bias and ReLU, input gradient, weight gradient.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/compute_format.hpp"
#include "ops/joined_batch.hpp"
#include "ops/kept_weight.hpp"
#include "ops/matmul_products.hpp"
#include "ops/round_operand.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// Row-major float32 matrices of a dense layer, in device memory:
///   x [rows, in], weight [in, out], bias [out], y [rows, out].
/// `out` is a multiple of channel_lanes (tensor/layout.hpp); `in` is any. `rows` is given with each
/// call.
struct MatmulShape {
  int in = 0;
  int out = 0;
};

/// One way to compute the products: the kernels, and how work is cut for them.
struct MatmulKernels {
  Variant variant = Variant::cpu;
  std::optional<opencl::InstructionSet> path{};  // of nvidia
  int row_block = 512;       // cpu: rows of the result that a work-item owns at most, up to 512
  int groups = 256;          // gpu: work-groups to cut the depth for
  bool whole_depth = false;  // nvidia: the depth is never cut

  /// "cpu", "cpu, 16 rows", "gpu, 1024 groups", "wgmma", "wgmma, whole depth".
  std::string name() const;
  friend bool operator==(const MatmulKernels&, const MatmulKernels&) = default;
};

/// The kernels that can compute one product of these on the device, the one to take unmeasured
/// first. On CPUs none of them changes a bit of a result but for estimated_cost's outsiders; the
/// GPU's add up in orders of their own.
std::vector<MatmulKernels> matmul_candidates(opencl::Device& device, const MatmulShape& shape,
                                             int rows, ComputeFormat format, Direction direction);

/// The kernels of a variant for products over about so many rows, unmeasured.
MatmulKernels usual_matmul(opencl::Device& device, Variant variant, const MatmulShape& shape,
                           int rows, ComputeFormat format);

/// The operations only enqueue kernels. The GPU variants keep scratch memory that grows to the
/// largest `rows` seen, those for CPUs a copy of a weight that stays.
class Matmul {
 public:
  /// Builds the kernels for one shape. Throws Error with the compiler's log, or for an impossible
  /// shape. Where the kernels have no instructions for the format, operands are rounded to it in
  /// passes of their own, and the products are float32's.
  Matmul(opencl::Device& device, const MatmulKernels& kernels, const MatmulShape& shape,
         ComputeFormat format = ComputeFormat::float32);
  /// The usual kernels of a variant. `path`: one of product_paths, where not the first.
  Matmul(opencl::Device& device, Variant variant, const MatmulShape& shape,
         ComputeFormat format = ComputeFormat::float32,
         std::optional<opencl::InstructionSet> path = std::nullopt);

  /// What computes the products: "cpu", "gpu", or the instruction set.
  const char* products_name() const { return products_ ? products_->name() : to_string(variant_); }
  /// Whether operands are rounded by passes of their own.
  bool emulates_format() const { return rounding_.has_value(); }

  /// Whether the products take such a batch: of several passes wgmma's take those of whole blocks
  /// of its depth, 32 or 64 rows.
  bool joins(const JoinedBatch& rows) const;

  /// The weight that forward is given stays as it is now until this is called again: CPUs bring it
  /// into their kernel's order once.
  void keep_weight() { kept_.stays(); }
  /// The weight may change from call to call, as at first.
  void release_weight() { kept_.changes(); }

  // Throw Error unless joins(rows).

  /// y = x · weight + bias, then max(0, ·) when `relu`. Every element of y's first rows.samples()
  /// rows is written.
  void forward(const opencl::Buffer& x, const opencl::Buffer& weight, const opencl::Buffer& bias,
               const opencl::Buffer& y, const JoinedBatch& rows, bool relu);

  /// dx = dy · weightᵀ; with `mask`, dx is 0 where x ≤ 0 (x being the output of a ReLU). dx must
  /// not be x.
  void input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                      const opencl::Buffer& x, const opencl::Buffer& dx, const JoinedBatch& rows,
                      bool mask);

  /// dweight = xᵀ · dy and dbias = column sums of dy, overwriting both. The sums run in an order
  /// that depends on shape and rows alone, so the same input gives the same bits.
  void weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                       const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                       const JoinedBatch& rows);

 private:
  struct Split {
    opencl::Range range;
    int depth;  // of the sum in one work-group
    int count;  // in each pass
  };

  /// `count` products C[rows][columns] of this depth, cut as one of `pass_rows` rows would be.
  struct Product {
    int rows, columns, depth, pass_rows, count = 1;
  };

  void build_cpu();
  void build_gpu();
  void expect_rows(const JoinedBatch& rows) const;
  /// `packed`: a work-item need not copy the slices of its columns, but reads them.
  opencl::Range cpu_range(int rows, int columns, int depth, bool packed = false) const;
  /// Of the weight as the products are to read it; CPUs.
  const opencl::Buffer& packed(const opencl::Buffer& weight);
  /// An operand as the products are to read it.
  const opencl::Buffer& operand(const opencl::Buffer& source, int rows, int columns,
                                RoundOperand::Side side);
  Split split_product(const Product& product);

  opencl::Device& device_;
  Variant variant_;  // cpu or gpu
  MatmulKernels cut_;
  MatmulShape shape_;
  std::optional<RoundOperand> rounding_;
  std::unique_ptr<MatmulProducts> products_;  // where the gpu's own kernels only finish
  opencl::Kernel forward_, input_gradient_, weight_gradient_;
  // cpu: where the weight stays
  opencl::Kernel pack_weight_, forward_packed_;
  KeptWeight kept_;
  opencl::Buffer packed_;
  // gpu: what turns partial products into results, and the partial products
  opencl::Kernel finish_forward_, finish_input_gradient_, finish_weight_gradient_, bias_gradient_;
  opencl::Buffer partial_;
};

}  // namespace dovetail
