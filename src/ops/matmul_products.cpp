// Cuts the products of dense layers into tiles for NVIDIA GPUs, and launches them.
#include "ops/matmul_products.hpp"

#include <algorithm>

#include "ops/matmul.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {
namespace {

using Which = MatmulProducts::Which;

int quotient_up(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}

std::size_t size(int value) {
  return static_cast<std::size_t>(value);
}

struct Extents {
  int rows, columns, depth;  // of C[m][n] = Σ_k
};

Extents extents_of(Which which, const MatmulShape& shape, int rows) {
  switch (which) {
    case Which::forward:
      return {rows, shape.out, shape.in};
    case Which::input_gradient:
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

/// `wanted`: work-groups that fill the device; `unit`: what a part's depth must be a multiple of;
/// `least`: the depth that is worth a part.
Cut cut_depth(int depth, int tiles, int wanted, int unit, int least) {
  const int parts = std::clamp(wanted / tiles, 1, std::max(1, depth / least));
  const int part = round_up(quotient_up(depth, parts), unit);
  return {part, quotient_up(depth, part)};
}

const opencl::Buffer& grown(opencl::Device& device, opencl::Buffer& scratch, std::size_t bytes) {
  if (scratch.bytes() < bytes) scratch = device.allocate(bytes);
  return scratch;
}

std::size_t partial_bytes(const Extents& e, const Cut& cut) {
  return size(cut.parts) * size(e.rows) * size(e.columns) * sizeof(float);
}

/// float32 through cp.async: kernels/matmul_async.cl.
class AsyncProducts : public MatmulProducts {
 public:
  AsyncProducts(opencl::Device& device, const MatmulShape& shape) : device_(device), shape_(shape) {
    namespace entries = kernels::matmul_async_;
    const opencl::Program program = device.build(
        kernels::matmul_async, {fmt::format("IN={}", shape.in), fmt::format("OUT={}", shape.out)});
    kernels_ = {program.kernel(entries::forward), program.kernel(entries::input_gradient),
                program.kernel(entries::weight_gradient)};
  }

  const char* name() const override { return "cp.async"; }

  int run(Which which, const Operands& operands, opencl::Buffer& partial, int rows,
          std::int32_t finish) override {
    const Extents e = extents_of(which, shape_, rows);
    const int tiles = quotient_up(e.rows, tile) * quotient_up(e.columns, tile);
    const Cut cut = cut_depth(e.depth, tiles, 2 * device_.info().compute_units, slice, least_depth);
    const bool whole = cut.parts == 1;
    device_.launch(
        kernels_[static_cast<std::size_t>(which)],
        {{size(tiles * threads), size(cut.parts), 1}, {threads, 1, 1}}, operands.a, operands.b,
        whole ? operands.result : grown(device_, partial, partial_bytes(e, cut)), operands.other,
        std::int32_t{rows}, std::int32_t{cut.depth}, whole ? finish : std::int32_t{finish_none});
    return whole ? 0 : cut.parts;
  }

 private:
  // As in the kernels.
  static constexpr int tile = 128;
  static constexpr int threads = 128;
  static constexpr int slice = 8;
  static constexpr int least_depth = 64;

  opencl::Device& device_;
  MatmulShape shape_;
  std::array<opencl::Kernel, 3> kernels_;  // by Which
};

/// TF32 and bfloat16 through wgmma: kernels/matmul_wgmma.cl.
class WgmmaProducts : public MatmulProducts {
 public:
  WgmmaProducts(opencl::Device& device, const MatmulShape& shape, ComputeFormat format)
      : device_(device), shape_(shape), block_depth_(format == ComputeFormat::bf16 ? 64 : 32) {
    namespace entries = kernels::matmul_wgmma_;
    const opencl::Program program = device.build(
        kernels::matmul_wgmma, {fmt::format("FORMAT_BF16={:d}", format == ComputeFormat::bf16)});
    pack_rows_ = program.kernel(entries::pack_rows);
    pack_columns_ = program.kernel(entries::pack_columns);
    product_ = program.kernel(entries::product);
  }

  const char* name() const override { return "wgmma"; }

  int run(Which which, const Operands& operands, opencl::Buffer& partial, int rows,
          std::int32_t finish) override {
    const Extents e = extents_of(which, shape_, rows);
    // x and dy have the depth of the first two products contiguous, and weight that of the second.
    pack(which == Which::weight_gradient ? pack_columns_ : pack_rows_, operands.a, packed_a_,
         e.rows, e.depth);
    pack(which == Which::input_gradient ? pack_rows_ : pack_columns_, operands.b, packed_b_,
         e.columns, e.depth);

    const int tiles = quotient_up(e.rows, tile_rows) * quotient_up(e.columns, tile_columns);
    const int units = device_.info().compute_units;
    const Cut cut = cut_depth(e.depth, tiles, units, block_depth_, least_blocks * block_depth_);
    const bool whole = cut.parts == 1;
    device_.launch(
        product_, {{size(std::min(tiles * cut.parts, units) * threads), 1, 1}, {threads, 1, 1}},
        packed_a_, packed_b_,
        whole ? operands.result : grown(device_, partial, partial_bytes(e, cut)), operands.other,
        std::int32_t{e.rows}, std::int32_t{e.columns}, std::int32_t{e.depth},
        std::int32_t{cut.depth / block_depth_}, whole ? finish : std::int32_t{finish_none});
    return whole ? 0 : cut.parts;
  }

 private:
  // As in the kernels.
  static constexpr int tile_rows = 128;
  static constexpr int tile_columns = 256;
  static constexpr int threads = 384;
  static constexpr int block_bytes = 128 * 128;
  static constexpr int pack_rows_a_group = 32;
  static constexpr int pack_threads = 256;
  static constexpr int least_blocks = 4;  // of depth that are worth a part: the ring's stages

  /// Panels come in twos, as the product reads the right operand.
  void pack(const opencl::Kernel& kernel, const opencl::Buffer& source, opencl::Buffer& packed,
            int rows, int depth) {
    const int padded = round_up(rows, tile_columns);
    const int blocks = quotient_up(depth, block_depth_);
    grown(device_, packed, size(padded / 128) * size(blocks) * block_bytes);
    device_.launch(
        kernel,
        {{size(blocks * pack_threads), size(padded / pack_rows_a_group), 1}, {pack_threads, 1, 1}},
        source, packed, std::int32_t{rows}, std::int32_t{depth});
  }

  opencl::Device& device_;
  MatmulShape shape_;
  int block_depth_;  // in 128 bytes
  opencl::Kernel pack_rows_, pack_columns_, product_;
  opencl::Buffer packed_a_, packed_b_;
};

}  // namespace

std::unique_ptr<MatmulProducts> make_products(opencl::Device& device, const MatmulShape& shape,
                                              ComputeFormat format) {
  using opencl::InstructionSet;
  if (format == ComputeFormat::float32) {
    if (!device.takes(InstructionSet::async_copy)) return nullptr;
    return std::make_unique<AsyncProducts>(device, shape);
  }
  if (!device.takes(InstructionSet::wgmma)) return nullptr;
  return std::make_unique<WgmmaProducts>(device, shape, format);
}

}  // namespace dovetail
