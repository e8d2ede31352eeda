// Launches the kernels that arrange operands.
#include "ops/matmul_arrange.hpp"

#include "dovetail_kernels.hpp"
#include "tensor/layout.hpp"

namespace dovetail {
namespace {

// As in kernels/matmul_arrange.cl.
constexpr int edge = 64;
constexpr int threads = 256;
constexpr int vector = 4;  // floats of a copy

}  // namespace

MatmulArrange::MatmulArrange(opencl::Device& device) : device_(device) {
  const opencl::Program program = device.build(kernels::matmul_arrange);
  turn_ = program.kernel(kernels::matmul_arrange_::turn);
  align_ = program.kernel(kernels::matmul_arrange_::align);
}

MatmulArrange::Lines MatmulArrange::lines(const opencl::Buffer& source, opencl::Buffer& scratch,
                                          int rows, int depth, bool depth_inside) {
  const int pitch = round_up(rows, vector);
  if (!depth_inside && pitch == rows) return {source, rows};
  device_.reserve(scratch, extent(depth) * extent(pitch) * sizeof(float));
  const auto tiles = [](int count) { return extent(quotient_up(count, edge)); };
  if (depth_inside) {
    device_.launch(turn_, {{tiles(depth) * threads, tiles(rows), 1}, {threads, 1, 1}}, source,
                   scratch, std::int32_t{rows}, std::int32_t{depth}, std::int32_t{pitch});
  } else {
    device_.launch(align_, {{extent(round_up(rows, threads)), extent(depth), 1}, {threads, 1, 1}},
                   source, scratch, std::int32_t{rows}, std::int32_t{pitch});
  }
  return {scratch, pitch};
}

}  // namespace dovetail
