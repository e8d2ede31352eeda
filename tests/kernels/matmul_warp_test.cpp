// Products of dense layers on tensor cores, run on the host: every result against a sum in double
// over the rounded operands.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/warp/launches.hpp"
#include "kernels/warp/work_group.hpp"
#include "ops/matmul_products.hpp"
#include "ops/reference/round_operand.hpp"
#include "support/random.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail::warp {
namespace {

/// C[m][n] = Σ_k A[m][k] B[k][n] in each pass over its own `depth`.
struct Product {
  int rows, columns, depth;
  int passes = 1;
  int parts = 1;  // that the depth of a pass is cut into
  int finish = finish_none;
};

struct Problem {
  Product of;
  ComputeFormat format;
  std::vector<float> a, b;  // [passes * depth][rows], [passes * depth][columns]
  std::vector<float> other;

  Problem(const Product& product, ComputeFormat in, SplitMix64& random) : of(product), format(in) {
    const auto drawn = [&](int count) {
      std::vector<float> values(extent(count));
      for (float& value : values) value = random.uniform(-1, 1);
      return values;
    };
    a = drawn(of.passes * of.depth * of.rows);
    b = drawn(of.passes * of.depth * of.columns);
    other = drawn(of.finish & finish_mask ? of.rows * of.columns : of.columns);
  }

  double finished(double sum, int row, int column) const {
    if (of.finish & finish_bias) sum += static_cast<double>(other[extent(column)]);
    if (of.finish & finish_relu) sum = std::max(sum, 0.0);
    if ((of.finish & finish_mask) && other[extent(row * of.columns + column)] <= 0.0f) sum = 0;
    return sum;
  }

  /// `c` [passes][parts][rows][columns] after a launch that cut the depth into parts of `part`.
  void check(const std::vector<float>& c, int part) const {
    const int parts = quotient_up(of.depth, part);
    ASSERT_EQ(c.size(), extent(of.passes * parts * of.rows * of.columns));
    const auto rounded = [&](float value) {
      return static_cast<double>(reference::round_operand(value, format));
    };
    std::size_t at = 0;
    for (int slice = 0; slice < of.passes * parts; ++slice) {
      const int pass = slice / parts, first = slice % parts * part;
      const int last = std::min(first + part, of.depth);
      for (int row = 0; row < of.rows; ++row) {
        for (int column = 0; column < of.columns; ++column, ++at) {
          double sum = 0, magnitude = 1;
          for (int k = first; k < last; ++k) {
            const int line = pass * of.depth + k;
            const double term = rounded(a[extent(line * of.rows + row)]) *
                                rounded(b[extent(line * of.columns + column)]);
            sum += term;
            magnitude += std::abs(term);
          }
          ASSERT_NEAR(static_cast<double>(c[at]), finished(sum, row, column), 1e-6 * magnitude)
              << "row " << row << ", column " << column << ", slice " << slice;
        }
      }
    }
  }
};

/// The transpose of [rows][columns].
std::vector<float> turned(const std::vector<float>& matrix, int rows, int columns) {
  std::vector<float> result(matrix.size());
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j)
      result[extent(j * rows + i)] = matrix[extent(i * columns + j)];
  return result;
}

/// As WgmmaProducts does. `depth_inside`: the operand comes as [rows][depth], and pack_rows takes
/// it; otherwise pack_columns.
std::vector<unsigned> packed(const MatmulLaunches& launches, ComputeFormat format,
                             const std::vector<float>& source, int rows, int depth,
                             bool depth_inside) {
  constexpr int block_rows = 128, block_words = 128 * 128 / 4, panels_at_once = 2;
  const int panels = round_up(rows, panels_at_once * block_rows) / block_rows;
  const int blocks = quotient_up(depth, wgmma_block_depth(format));
  std::vector<unsigned> result(extent(panels * blocks * block_words), 0x7fc07fc0U);  // NaNs
  const std::vector<float> from = depth_inside ? turned(source, depth, rows) : source;
  for (int panel = 0; panel < panels; ++panel) {
    for (int block = 0; block < blocks; ++block) {
      WorkGroup group(256, 0, {block, panel, 0});
      group.set_groups({blocks, panels, 1});
      group.run([&] {
        (depth_inside ? launches.pack_rows : launches.pack_columns)(from.data(), result.data(),
                                                                    rows, depth);
      });
    }
  }
  return result;
}

/// [depth][pitch] of a matrix [depth][rows], padded as MatmulArrange has it.
std::vector<float> aligned(const std::vector<float>& matrix, int rows, int depth) {
  const int pitch = round_up(rows, 4);
  std::vector<float> result(extent(depth * pitch), std::numeric_limits<float>::quiet_NaN());
  for (int k = 0; k < depth; ++k)
    std::copy_n(matrix.begin() + k * rows, rows, result.begin() + k * pitch);
  return result;
}

/// Kernels that take lines of operands: matmul_mma.cl and matmul_async.cl.
void multiply_lines(ProductOfLines* product, const ProductsKernel& kernel, ComputeFormat format,
                    const Product& of, SplitMix64& random) {
  SCOPED_TRACE(fmt::format("{}x{}x{} in {} passes and {} parts, finish {}", of.rows, of.columns,
                           of.depth, of.passes, of.parts, of.finish));
  constexpr int tile = 128, unit = 8;
  const Problem problem(of, format, random);
  const auto a = aligned(problem.a, of.rows, of.passes * of.depth);
  const auto b = aligned(problem.b, of.columns, of.passes * of.depth);
  const int part = round_up(quotient_up(of.depth, of.parts), unit);
  const int parts = quotient_up(of.depth, part);
  const int tiles = quotient_up(of.rows, tile) * quotient_up(of.columns, tile);
  std::vector<float> c(extent(of.passes * parts * of.rows * of.columns),
                       std::numeric_limits<float>::quiet_NaN());
  for (int place = 0; place < tiles * parts * of.passes; ++place) {
    WorkGroup group(kernel.threads, kernel.shared_bytes,
                    {place % tiles, place / tiles % parts, place / tiles / parts});
    group.set_groups({tiles, parts, of.passes});
    group.run([&] {
      product(a.data(), b.data(), c.data(), problem.other.data(), of.rows, of.columns, of.depth,
              round_up(of.rows, 4), round_up(of.columns, 4), part, of.finish);
    });
  }
  problem.check(c, part);
}

int between(SplitMix64& random, int low, int high) {
  return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low + 1)));
}

class MatmulWarpTest : public ::testing::TestWithParam<ComputeFormat> {
 protected:
  SplitMix64 random_{std::random_device{}()};
  const MatmulLaunches& launches_ =
      matmul_launches().at(static_cast<std::size_t>(kernel_number(GetParam())));

  int between(int low, int high) { return warp::between(random_, low, high); }

  /// `work_groups` share the tiles; operands with the depth inside or outside.
  void multiply_by_warpgroup(const Product& of, int work_groups, bool a_inside, bool b_inside) {
    SCOPED_TRACE(fmt::format("{}x{}x{} in {} passes and {} parts, finish {}, {} work-groups",
                             of.rows, of.columns, of.depth, of.passes, of.parts, of.finish,
                             work_groups));
    const Problem problem(of, GetParam(), random_);
    const int depth = of.passes * of.depth, block = wgmma_block_depth(GetParam());
    const auto a = packed(launches_, GetParam(), problem.a, of.rows, depth, a_inside);
    const auto b = packed(launches_, GetParam(), problem.b, of.columns, depth, b_inside);
    const int part = quotient_up(quotient_up(of.depth, of.parts), block);  // in blocks
    const int parts = quotient_up(quotient_up(of.depth, block), part);
    std::vector<float> c(extent(of.passes * parts * of.rows * of.columns),
                         std::numeric_limits<float>::quiet_NaN());
    for (int i = 0; i < work_groups; ++i) {
      WorkGroup group(wgmma_products.threads, wgmma_products.shared_bytes, {i, 0, 0});
      group.set_groups({work_groups, 1, 1});
      group.run([&] {
        launches_.wgmma(reinterpret_cast<const unsigned char*>(a.data()),
                        reinterpret_cast<const unsigned char*>(b.data()), c.data(),
                        problem.other.data(), of.rows, of.columns, depth, of.passes, part,
                        of.finish);
      });
    }
    problem.check(c, part * block);
  }

  void multiply_by_warp(const Product& of) {
    multiply_lines(launches_.mma, mma_products, GetParam(), of, random_);
  }
};
INSTANTIATE_TEST_SUITE_P(Formats, MatmulWarpTest,
                         ::testing::Values(ComputeFormat::tf32, ComputeFormat::bf16,
                                           ComputeFormat::fp16),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(MatmulWarpTest, ByWarpgroupIsTheSumOfRoundedProducts) {
  const int block = wgmma_block_depth(GetParam());
  // Ragged in every extent, with each operand's depth inside and outside.
  for (const bool a_inside : {true, false}) {
    multiply_by_warpgroup({between(1, 150), between(1, 60), between(1, 3 * block)}, 1, a_inside,
                          !a_inside);
  }
  multiply_by_warpgroup({between(1, 40), between(1, 150), 4 * between(1, block / 2)}, 2, true,
                        true);
}

TEST_P(MatmulWarpTest, AWorkGroupGoesFromTileToTile) {
  // More tiles than work-groups, and a ring that goes round more than once in each.
  const int block = wgmma_block_depth(GetParam());
  multiply_by_warpgroup({between(257, 300), between(257, 270), 5 * block + 3}, 2, true, false);
}

TEST_P(MatmulWarpTest, DepthsAreCutIntoPartsAndPasses) {
  const int block = wgmma_block_depth(GetParam());
  multiply_by_warpgroup({between(1, 90), between(1, 40), 5 * block - 1, 1, 2}, 3, false, false);
  multiply_by_warpgroup({between(1, 90), between(1, 40), 3 * block, 2, 2}, 3, false, false);
  multiply_by_warp({between(1, 90), between(1, 90), between(20, 60), 2, 3});
}

TEST_P(MatmulWarpTest, SumsAreFinished) {
  for (const int finish : {int{finish_bias}, finish_bias | finish_relu, int{finish_mask}}) {
    const Product of{between(1, 80), between(1, 70), between(1, 50), 1, 1, finish};
    multiply_by_warpgroup(of, 1, true, false);
    multiply_by_warp(of);
  }
}

TEST_P(MatmulWarpTest, ByWarpIsTheSumOfRoundedProducts) {
  multiply_by_warp({between(1, 127), between(1, 127), between(1, 100)});
  multiply_by_warp({between(129, 200), between(129, 200), between(1, 40)});
  multiply_by_warp({between(1200, 1300), between(1, 20), 8});  // more tiles than a band's rows
}

TEST(MatmulAsyncWarpTest, IsTheSumOfProducts) {
  SplitMix64 random(std::random_device{}());
  const auto check = [&](const Product& of) {
    multiply_lines(async_product(), async_products, ComputeFormat::float32, of, random);
  };
  const auto drawn = [&](int low, int high) { return between(random, low, high); };
  check({drawn(1, 127), drawn(1, 127), drawn(1, 100)});
  check({drawn(129, 200), drawn(129, 200), drawn(1, 40)});
  check({drawn(1200, 1300), drawn(1, 20), 8});  // more tiles than a band's rows
  check({drawn(1, 90), drawn(1, 90), drawn(20, 60), 2, 3});
  for (const int finish : {int{finish_bias}, finish_bias | finish_relu, int{finish_mask}})
    check({drawn(1, 80), drawn(1, 70), drawn(1, 50), 1, 1, finish});
}

}  // namespace
}  // namespace dovetail::warp
