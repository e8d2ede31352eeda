// Dense host arrays.
#include "tensor/tensor.hpp"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

TEST(Tensor, HoldsAsManyZerosAsItsShapeSays) {
  const Tensor weight({8, 3, 5, 5});
  EXPECT_EQ(weight.size(), 600u);
  EXPECT_EQ(weight.values, std::vector<float>(600, 0.0f));
  EXPECT_EQ(Tensor({4, 0}).size(), 0u);
}

TEST(Tensor, AShapeWithoutExtentsIsAScalar) {
  EXPECT_EQ(volume({}), 1u);
}

TEST(Tensor, ShapesReadAsPeopleWriteThem) {
  EXPECT_EQ(to_string(Shape{64, 1, 28, 28}), "[64, 1, 28, 28]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

}  // namespace
}  // namespace dovetail
