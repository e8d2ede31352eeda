// Parameters keep their values on the way to the device's layout and back.
#include "plan/arena.hpp"

#include <gtest/gtest.h>

#include <set>

#include "ops/reference/layout.hpp"
#include "support/error.hpp"
#include "support/random.hpp"

namespace dovetail::plan {
namespace {

std::vector<float> random_values(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform(-1, 1);
  return values;
}

Parameter make_parameter(const std::string& name, Shape shape, std::uint64_t seed) {
  Parameter parameter{name, Tensor(std::move(shape))};
  parameter.value.values = random_values(parameter.value.size(), seed);
  return parameter;
}

TEST(Arena, ConvolutionWeightsFollowTheDeviceLayout) {
  const int out = 5, in = 3, kernel = 3;
  const std::vector<float> canonical = random_values(out * in * kernel * kernel, 1);
  const std::vector<std::uint32_t> index = conv_weight_index(out, in, kernel);
  const std::vector<float> expected = reference::weight_to_device(canonical, out, in, kernel);
  std::vector<float> device(expected.size());
  for (std::size_t i = 0; i < canonical.size(); ++i) device[index[i]] = canonical[i];
  EXPECT_EQ(device, expected);
}

TEST(Arena, DenseWeightsFollowTheFeatureMapBeforeThem) {
  const Layout in = feature_map(1, 4, 3, 20);
  const int out = 7;
  const std::vector<float> canonical = random_values(static_cast<std::size_t>(out * 20 * 4 * 3), 2);
  const std::vector<std::uint32_t> index = dense_weight_index(out, in);
  const std::vector<float> expected = reference::dense_to_device(canonical, out, in);
  std::vector<float> device(expected.size());
  for (std::size_t i = 0; i < canonical.size(); ++i) device[index[i]] = canonical[i];
  EXPECT_EQ(device, expected);
}

TEST(Arena, ScatterAndGatherAreInverse) {
  Arena arena(128);
  arena.add({.name = "a.weight", .shape = {5, 3, 3, 3}}, 9 * 3 * 16, conv_weight_index(5, 3, 3));
  arena.add({.name = "a.bias", .shape = {5}}, 16, vector_index(5));
  const std::vector<Parameter> parameters = {make_parameter("a.weight", {5, 3, 3, 3}, 3),
                                             make_parameter("a.bias", {5}, 4)};
  const std::vector<float> image = arena.scatter(parameters);
  ASSERT_EQ(image.size(), arena.elements());
  EXPECT_EQ(arena.slots()[1].offset % 32, 0u);
  const std::vector<Parameter> back = arena.gather(image);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(back[i].value.values, parameters[i].value.values);
}

TEST(Arena, RefusesParametersOfAnotherModel) {
  Arena arena(128);
  arena.add({.name = "a.bias", .shape = {5}}, 16, vector_index(5));
  EXPECT_THROW(arena.scatter({make_parameter("b.bias", {5}, 1)}), Error);
  EXPECT_THROW(arena.scatter({make_parameter("a.bias", {6}, 1)}), Error);
  EXPECT_THROW(arena.scatter({}), Error);
}

}  // namespace
}  // namespace dovetail::plan
