// Operands of products brought into lines with the depth outermost.
#include "ops/matmul_arrange.hpp"

#include "kernels/compute_fixture.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {
namespace {

/// Depth inside, or outside.
class MatmulArrangeTest : public DeviceTest<bool> {};
INSTANTIATE_TEST_SUITE_P(Operands, MatmulArrangeTest, ::testing::Bool(),
                         [](const auto& inside) { return inside.param ? "inside" : "outside"; });

TEST_P(MatmulArrangeTest, TheDepthComesOutermostInRowsOfFours) {
  const bool depth_inside = GetParam();
  MatmulArrange arrange(device());
  for (int round = 0; round < 20; ++round) {
    const int rows = between(1, 150), depth = between(1, 600);
    SCOPED_TRACE(fmt::format("{} rows, depth {}", rows, depth));
    const std::vector<float> matrix = random(extent(rows * depth));
    const opencl::Buffer source = upload(matrix);
    opencl::Buffer scratch = poisoned(extent(round_up(rows, 4) * depth));
    const MatmulArrange::Lines lines = arrange.lines(source, scratch, rows, depth, depth_inside);
    ASSERT_EQ(lines.pitch, round_up(rows, 4));
    EXPECT_EQ(&lines.memory == &source, !depth_inside && rows % 4 == 0);
    const auto values = device().download<float>(lines.memory);
    for (int k = 0; k < depth; ++k) {
      for (int row = 0; row < rows; ++row) {
        ASSERT_EQ(values.at(extent(k * lines.pitch + row)),
                  matrix.at(extent(depth_inside ? row * depth + k : k * rows + row)))
            << "row " << row << ", k " << k;
      }
    }
  }
}

}  // namespace
}  // namespace dovetail
