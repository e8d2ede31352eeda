// The three matrix products of a dense layer by instructions of NVIDIA GPUs, behind one interface.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/compute_format.hpp"
#include "ops/direction.hpp"
#include "ops/finish.hpp"
#include "ops/joined_batch.hpp"

namespace dovetail {

struct MatmulShape;

/// What a kernel of products is built with and launched by, for the launcher and the tests.
struct ProductsKernel {
  int threads, shared_bytes;
  /// Of a kernel on tensor cores; kernels/matmul_async.cl needs none.
  std::vector<std::string> definitions(ComputeFormat format) const;
};
/// Of kernels/matmul_async.cl: four slices of eight lines of 128 floats of either operand.
inline constexpr ProductsKernel async_products{128, 2 * 4 * 8 * 128 * 4};
/// Of kernels/matmul_mma.cl: the lines have 136.
inline constexpr ProductsKernel mma_products{256, 2 * 4 * 8 * 136 * 4};
/// Of kernels/matmul_wgmma.cl: four stages of 48 KiB, with two barriers each.
inline constexpr ProductsKernel wgmma_products{384, 4 * (3 * 128 * 128 + 16)};
/// Of the depth of a block that kernels/matmul_wgmma.cl packs, in elements: 128 bytes.
int wgmma_block_depth(ComputeFormat format);

/// C[m][n] = Σ_k A[m][k] B[k][n] for the products of a dense layer, in float32 device memory.
class MatmulProducts {
 public:
  struct Operands {
    const opencl::Buffer &a,
        &b;  // as Matmul's functions take them: x and weight, dy and weight, x and dy
    const opencl::Buffer& result;
    const opencl::Buffer& other;  // bias or mask
  };

  virtual ~MatmulProducts() = default;
  /// Instruction set or fallback, for people.
  virtual const char* name() const = 0;

  /// Whether the weight gradient takes such a batch.
  virtual bool joins(const JoinedBatch& rows) const = 0;
  /// Enqueues one product over these samples. Returns 0 where `result` holds it, with `finish`
  /// (a sum of Finish) done; else into how many partial sums the depth was cut, the weight
  /// gradient's in each pass: they lie in `partial` [count, m, n] or [passes, count, m, n], which
  /// grows as needed, and the caller adds them up and finishes.
  virtual int run(Direction which, const Operands& operands, opencl::Buffer& partial,
                  const JoinedBatch& rows, std::int32_t finish) = 0;
};

/// The instruction sets with which this device computes products in this format, the fastest for
/// large matrices first; empty where it takes none.
std::vector<opencl::InstructionSet> product_paths(opencl::Device& device, ComputeFormat format);

/// Whether a path cuts the depth of this product into parts, for which another launch adds up.
bool cuts_depth(const opencl::Device& device, const MatmulShape& shape, ComputeFormat format,
                opencl::InstructionSet path, Direction which, int rows);

/// `path`: one of product_paths; with `whole_depth` it never cuts the depth. Throws Error where its
/// kernels do not build.
std::unique_ptr<MatmulProducts> make_products(opencl::Device& device, const MatmulShape& shape,
                                              ComputeFormat format, opencl::InstructionSet path,
                                              bool whole_depth = false);

}  // namespace dovetail
