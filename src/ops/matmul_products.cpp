// Cuts the products of dense layers into tiles for NVIDIA GPUs, and launches them.
#include "ops/matmul_products.hpp"

#include <algorithm>

#include "dovetail_kernels.hpp"
#include "ops/matmul.hpp"
#include "ops/matmul_arrange.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {
namespace {

struct Extents {
  int rows, columns, depth;  // of C[m][n] = Σ_k
};

Extents extents_of(Direction which, const MatmulShape& shape, int rows) {
  switch (which) {
    case Direction::forward:
      return {rows, shape.out, shape.in};
    case Direction::input_gradient:
      return {rows, shape.in, shape.out};
    default:
      return {shape.in, shape.out, rows};
  }
}

/// How the depth is cut so that work-groups fill the device.
struct Cut {
  int depth;  // of a part
  int parts;
};

/// What a path's kernel computes at a time, as the kernels have it.
struct Tiling {
  int rows, columns;
  int unit;   // what a part's depth must be a multiple of
  int least;  // the depth that is worth a part
  int groups_per_unit;
};

Tiling tiling_of(opencl::InstructionSet path, ComputeFormat format) {
  constexpr int ring_stages = 4;
  if (path != opencl::InstructionSet::wgmma) return {128, 128, 8, 128, 2};
  const int block = wgmma_block_depth(format);
  return {128, 256, block, ring_stages * block, 1};
}

/// As many parts as make work-groups that fill the device, or one.
Cut cut_depth(const Extents& e, const Tiling& tiling, int compute_units, bool whole) {
  const int tiles = quotient_up(e.rows, tiling.rows) * quotient_up(e.columns, tiling.columns);
  const int wanted = whole ? 1 : tiling.groups_per_unit * compute_units / tiles;
  const int parts = std::clamp(wanted, 1, std::max(1, e.depth / tiling.least));
  const int part = round_up(quotient_up(e.depth, parts), tiling.unit);
  return {part, quotient_up(e.depth, part)};
}

const opencl::Buffer& grown(opencl::Device& device, opencl::Buffer& scratch, std::size_t bytes) {
  device.reserve(scratch, bytes);
  return scratch;
}

std::size_t partial_bytes(const Extents& e, int parts) {
  return extent(parts) * extent(e.rows) * extent(e.columns) * sizeof(float);
}

/// Passes whose products are apart.
int products_of(Direction which, const JoinedBatch& rows) {
  return which == Direction::weight_gradient ? rows.passes : 1;
}

/// Products whose operands come through cp.async: kernels/matmul_async.cl in float32, matmul_mma.cl
/// in TF32, bfloat16 and float16.
class AsyncProducts : public MatmulProducts {
 public:
  AsyncProducts(opencl::Device& device, const MatmulShape& shape, ComputeFormat format,
                bool whole_depth)
      : device_(device),
        shape_(shape),
        tiling_(tiling_of(opencl::InstructionSet::async_copy, format)),
        whole_depth_(whole_depth),
        on_tensor_cores_(format != ComputeFormat::float32),
        arrange_(device) {
    product_ = on_tensor_cores_
                   ? device.build(kernels::matmul_mma, mma_products.definitions(format))
                         .kernel(kernels::matmul_mma_::product)
                   : device.build(kernels::matmul_async).kernel(kernels::matmul_async_::product);
  }

  const char* name() const override {
    return to_string(on_tensor_cores_ ? opencl::InstructionSet::mma
                                      : opencl::InstructionSet::async_copy);
  }

  bool joins(const JoinedBatch&) const override { return true; }

  int run(Direction which, const Operands& operands, opencl::Buffer& partial,
          const JoinedBatch& rows, std::int32_t finish) override {
    const Extents e = extents_of(which, shape_, rows.samples());
    const Extents pass = extents_of(which, shape_, rows.each);
    const int products = products_of(which, rows);
    const MatmulArrange::Lines a = arrange_.lines(operands.a, arranged_a_, e.rows, e.depth,
                                                  which != Direction::weight_gradient);
    const MatmulArrange::Lines b = arrange_.lines(operands.b, arranged_b_, e.columns, e.depth,
                                                  which == Direction::input_gradient);
    const int tiles = quotient_up(e.rows, tiling_.rows) * quotient_up(e.columns, tiling_.columns);
    const Cut cut = cut_depth(pass, tiling_, device_.info().compute_units, whole_depth_);
    const bool whole = cut.parts * products == 1;
    const std::size_t threads =
        extent(on_tensor_cores_ ? mma_products.threads : async_products.threads);
    device_.launch(
        product_, {{extent(tiles) * threads, extent(cut.parts), extent(products)}, {threads, 1, 1}},
        a.memory, b.memory,
        whole ? operands.result : grown(device_, partial, partial_bytes(e, cut.parts * products)),
        operands.other, std::int32_t{e.rows}, std::int32_t{e.columns},
        std::int32_t{e.depth / products}, std::int32_t{a.pitch}, std::int32_t{b.pitch},
        std::int32_t{cut.depth}, whole ? finish : std::int32_t{finish_none});
    return whole ? 0 : cut.parts;
  }

 private:
  opencl::Device& device_;
  MatmulShape shape_;
  Tiling tiling_;
  bool whole_depth_;
  bool on_tensor_cores_;
  opencl::Kernel product_;
  MatmulArrange arrange_;
  opencl::Buffer arranged_a_, arranged_b_;
};

/// TF32, bfloat16 and float16 through wgmma: kernels/matmul_wgmma.cl.
class WgmmaProducts : public MatmulProducts {
 public:
  WgmmaProducts(opencl::Device& device, const MatmulShape& shape, ComputeFormat format,
                bool whole_depth)
      : device_(device),
        shape_(shape),
        tiling_(tiling_of(opencl::InstructionSet::wgmma, format)),
        whole_depth_(whole_depth),
        block_depth_(wgmma_block_depth(format)) {
    namespace entries = kernels::matmul_wgmma_;
    const opencl::Program program =
        device.build(kernels::matmul_wgmma, wgmma_products.definitions(format));
    pack_rows_ = program.kernel(entries::pack_rows);
    pack_columns_ = program.kernel(entries::pack_columns);
    product_ = program.kernel(entries::product);
  }

  const char* name() const override { return to_string(opencl::InstructionSet::wgmma); }

  bool joins(const JoinedBatch& rows) const override {
    return rows.passes == 1 || rows.each % block_depth_ == 0;
  }

  int run(Direction which, const Operands& operands, opencl::Buffer& partial,
          const JoinedBatch& rows, std::int32_t finish) override {
    const Extents e = extents_of(which, shape_, rows.samples());
    const Extents pass = extents_of(which, shape_, rows.each);
    const int products = products_of(which, rows);
    // x and dy have the depth of the first two products contiguous, and weight that of the second.
    pack(which == Direction::weight_gradient ? pack_columns_ : pack_rows_, operands.a, packed_a_,
         e.rows, e.depth);
    pack(which == Direction::input_gradient ? pack_rows_ : pack_columns_, operands.b, packed_b_,
         e.columns, e.depth);

    const int tiles = quotient_up(e.rows, tiling_.rows) * quotient_up(e.columns, tiling_.columns);
    const int units = device_.info().compute_units;
    const Cut cut = cut_depth(pass, tiling_, units, whole_depth_);
    const int parts = cut.parts * products;
    const bool whole = parts == 1;
    device_.launch(
        product_, {{extent(std::min(tiles * parts, units)) * threads, 1, 1}, {threads, 1, 1}},
        packed_a_, packed_b_,
        whole ? operands.result : grown(device_, partial, partial_bytes(e, parts)), operands.other,
        std::int32_t{e.rows}, std::int32_t{e.columns}, std::int32_t{e.depth},
        std::int32_t{products}, std::int32_t{cut.depth / block_depth_},
        whole ? finish : std::int32_t{finish_none});
    return whole ? 0 : cut.parts;
  }

 private:
  // As in the kernels.
  static constexpr std::size_t threads = wgmma_products.threads;
  static constexpr int block_bytes = 128 * 128;
  static constexpr int block_rows = 128;
  static constexpr int pack_threads = 256;

  /// Panels come in twos, as the product reads the right operand.
  void pack(const opencl::Kernel& kernel, const opencl::Buffer& source, opencl::Buffer& packed,
            int rows, int depth) {
    const int padded = round_up(rows, tiling_.columns);
    const int blocks = quotient_up(depth, block_depth_);
    grown(device_, packed, extent(padded / block_rows) * extent(blocks) * block_bytes);
    device_.launch(
        kernel,
        {{extent(blocks * pack_threads), extent(padded / block_rows), 1}, {pack_threads, 1, 1}},
        source, packed, std::int32_t{rows}, std::int32_t{depth});
  }

  opencl::Device& device_;
  MatmulShape shape_;
  Tiling tiling_;
  bool whole_depth_;
  int block_depth_;  // in 128 bytes
  opencl::Kernel pack_rows_, pack_columns_, product_;
  opencl::Buffer packed_a_, packed_b_;
};

}  // namespace

std::vector<std::string> ProductsKernel::definitions(ComputeFormat format) const {
  return {fmt::format("FORMAT={}", kernel_number(format)),
          fmt::format("SHARED_BYTES={}", shared_bytes)};
}

int wgmma_block_depth(ComputeFormat format) {
  return format == ComputeFormat::tf32 ? 32 : 64;
}

std::vector<opencl::InstructionSet> product_paths(opencl::Device& device, ComputeFormat format) {
  using opencl::InstructionSet;
  std::vector<InstructionSet> paths;
  const bool copies = device.takes(InstructionSet::async_copy);
  if (format == ComputeFormat::float32) {
    if (copies) paths.push_back(InstructionSet::async_copy);
    return paths;
  }
  if (device.takes(InstructionSet::wgmma)) paths.push_back(InstructionSet::wgmma);
  if (copies && device.takes(InstructionSet::mma)) paths.push_back(InstructionSet::mma);
  return paths;
}

bool cuts_depth(const opencl::Device& device, const MatmulShape& shape, ComputeFormat format,
                opencl::InstructionSet path, Direction which, int rows) {
  const int units = device.info().compute_units;
  return cut_depth(extents_of(which, shape, rows), tiling_of(path, format), units, false).parts > 1;
}

std::unique_ptr<MatmulProducts> make_products(opencl::Device& device, const MatmulShape& shape,
                                              ComputeFormat format, opencl::InstructionSet path,
                                              bool whole_depth) {
  if (path == opencl::InstructionSet::wgmma)
    return std::make_unique<WgmmaProducts>(device, shape, format, whole_depth);
  return std::make_unique<AsyncProducts>(device, shape, format, whole_depth);
}

}  // namespace dovetail
