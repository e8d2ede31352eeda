// ReLU and dropout against their twins.
#include "ops/activation.hpp"

#include <limits>

#include "kernels/feature_maps.hpp"
#include "kernels/finite_differences.hpp"
#include "ops/reference/activation.hpp"

namespace dovetail {
namespace {

using namespace testing;

class ActivationTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, ActivationTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

std::size_t elements(const Layout& layout, int batch) {
  return static_cast<std::size_t>(batch * layout.channels * layout.height * layout.width);
}

/// Of a dense layer, of a convolution with halo, and random ones.
std::vector<Layout> layouts() {
  std::vector<Layout> made = {feature_map(5, 1, 1, 128), feature_map(2, 9, 7, 32, 1)};
  Random random(21);
  for (int i = 0; i < 4; ++i) {
    made.push_back(feature_map(random.integer(1, 5), random.integer(1, 20), random.integer(1, 20),
                               random.integer(1, 70), random.integer(0, 2)));
  }
  return made;
}

TEST_P(ActivationTest, ReluIsTheTwin) {
  Random random(5);
  for (const Layout& layout : layouts()) {
    const int batch = random.integer(1, layout.batch);
    const std::vector<double> x = random.normal(elements(layout, batch));
    const std::vector<double> dy = random.normal(x.size());
    Relu relu(test_device(), GetParam(), layout);
    const opencl::Buffer y_map = poisoned(layout.size());
    const opencl::Buffer dx_map = poisoned(layout.size());
    relu.forward(upload_map(layout, batch, x), y_map, batch);
    relu.backward(y_map, upload_map(layout, batch, dy), dx_map, batch);
    const std::vector<double> y = reference::relu(x);
    EXPECT_EQ(download_map(layout, batch, y_map), y);
    EXPECT_EQ(download_map(layout, batch, dx_map), reference::relu_gradient(y, dy));
  }
}

TEST_P(ActivationTest, ReluKeepsNans) {
  const Layout layout = feature_map(1, 1, 1, 2);
  const opencl::Buffer y = poisoned(layout.size());
  Relu(test_device(), GetParam(), layout)
      .forward(upload_map(layout, 1, {std::numeric_limits<double>::quiet_NaN(), -1.0}), y, 1);
  const std::vector<double> values = download_map(layout, 1, y);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], 0);
}

TEST_P(ActivationTest, DropoutIsTheTwinBitForBit) {
  Random random(6);
  for (const Layout& layout : layouts()) {
    for (const float p : {0.0f, 0.25f, 0.5f, 0.9f}) {
      const int batch = random.integer(1, layout.batch);
      const std::uint64_t seed = 0x9E3779B97F4A7C15u + static_cast<std::uint64_t>(layout.size());
      const std::uint64_t first_sample =
          0xFFFFFFFEu;  // the counter's second word is used from the third sample on
      const std::vector<double> ones(elements(layout, batch), 1.0);
      const auto stream = static_cast<std::uint32_t>(random.integer(1, 100));
      Dropout dropout(test_device(), GetParam(), layout, p, stream);
      const opencl::Buffer y_map = poisoned(layout.size());
      dropout.forward(upload_map(layout, batch, ones), y_map, batch, seed, first_sample);
      const std::vector<float> expected = reference::dropout<float>(
          to_float(ones),
          {static_cast<std::size_t>(batch), static_cast<std::size_t>(layout.channels),
           static_cast<std::size_t>(layout.height), static_cast<std::size_t>(layout.width)},
          static_cast<std::size_t>(layout.channel_stride), p, stream, seed, first_sample);
      const std::vector<float> actual = to_float(download_map(layout, batch, y_map));
      ASSERT_EQ(actual.size(), expected.size());
      for (std::size_t i = 0; i < actual.size(); ++i) {
        ASSERT_EQ(actual[i] == 0, expected[i] == 0) << "element " << i << " with p = " << p;
        ASSERT_FLOAT_EQ(actual[i], expected[i]);
      }
    }
  }
}

TEST_P(ActivationTest, DropoutBackwardUsesTheMaskOfForwardInPlace) {
  Random random(7);
  const Layout layout = feature_map(4, 5, 6, 20, 1);
  const std::vector<double> ones(elements(layout, 4), 1.0);
  const std::vector<double> dy = random.normal(ones.size());
  Dropout dropout(test_device(), GetParam(), layout, 0.3f, 2);
  const opencl::Buffer y_map = poisoned(layout.size());
  dropout.forward(upload_map(layout, 4, ones), y_map, 4, 42, 7);
  const opencl::Buffer gradient = upload_map(layout, 4, dy);
  dropout.backward(gradient, gradient, 4, 42, 7);
  const std::vector<double> mask = download_map(layout, 4, y_map);
  for_each_element(layout, 4, [&, values = download(gradient)](std::size_t i, std::size_t at) {
    ASSERT_EQ(values[at],
              static_cast<double>(static_cast<float>(mask[i]) * static_cast<float>(dy[i])));
  });
}

TEST_P(ActivationTest, DropoutMaskFollowsTheSampleNotItsPlace) {
  const Layout layout = feature_map(4, 3, 5, 17);
  const std::vector<double> ones(elements(layout, 4), 1.0);
  Dropout dropout(test_device(), GetParam(), layout, 0.5f, 0);
  const auto mask_from = [&](std::uint64_t first_sample) {
    const opencl::Buffer y = poisoned(layout.size());
    dropout.forward(upload_map(layout, 4, ones), y, 4, 1, first_sample);
    return download_map(layout, 4, y);
  };
  const std::vector<double> from_10 = mask_from(10);
  const std::vector<double> from_12 = mask_from(12);
  const auto half = static_cast<std::ptrdiff_t>(ones.size() / 2);
  EXPECT_TRUE(std::equal(from_10.begin() + half, from_10.end(), from_12.begin()));
  EXPECT_FALSE(std::equal(from_10.begin(), from_10.begin() + half, from_12.begin()));
}

TEST_P(ActivationTest, DropoutStreamsAreIndependent) {
  const Layout layout = feature_map(4, 8, 8, 64);
  const std::vector<double> ones(elements(layout, 4), 1.0);
  const auto mask_of = [&](std::uint32_t stream) {
    const opencl::Buffer y = poisoned(layout.size());
    Dropout(test_device(), GetParam(), layout, 0.5f, stream)
        .forward(upload_map(layout, 4, ones), y, 4, 1, 0);
    return download_map(layout, 4, y);
  };
  const std::vector<double> one = mask_of(1);
  const std::vector<double> other = mask_of(2);
  // Of independent masks half of the elements agree, as coins do.
  double agreeing = 0;
  for (std::size_t i = 0; i < one.size(); ++i) agreeing += one[i] == other[i];
  const auto count = static_cast<double>(one.size());
  EXPECT_NEAR(agreeing, count / 2, 5 * std::sqrt(count / 4));
}

TEST_P(ActivationTest, DropoutKeepsTheShareItShould) {
  const Layout layout = feature_map(8, 16, 16, 64);
  const std::vector<double> ones(elements(layout, 8), 1.0);
  for (const float p : {0.1f, 0.5f, 0.8f}) {
    const opencl::Buffer y = poisoned(layout.size());
    Dropout(test_device(), GetParam(), layout, p, 0)
        .forward(upload_map(layout, 8, ones), y, 8, 3, 0);
    const std::vector<double> values = download_map(layout, 8, y);
    const auto kept = static_cast<double>(
        std::count_if(values.begin(), values.end(), [](double v) { return v != 0; }));
    const double count = static_cast<double>(values.size());
    const double deviation = std::sqrt(count * p * (1 - p));
    EXPECT_NEAR(kept, count * (1 - static_cast<double>(p)), 5 * deviation);
  }
}

TEST_P(ActivationTest, DropoutRefusesAProbabilityOfOne) {
  const Layout layout = feature_map(1, 1, 1, 16);
  EXPECT_THROW(Dropout(test_device(), GetParam(), layout, 1.0f, 0), Error);
  EXPECT_THROW(Dropout(test_device(), GetParam(), layout, -0.1f, 0), Error);
  EXPECT_THROW(
      Dropout(test_device(), GetParam(), layout, std::numeric_limits<float>::quiet_NaN(), 0),
      Error);
}

TEST(ActivationTwin, PhiloxGivesThePublishedWords) {
  // Random123's known answers for philox4x32-10.
  using Words = std::array<std::uint32_t, 4>;
  constexpr std::uint32_t ones = 0xFFFFFFFF;
  EXPECT_EQ(reference::philox({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(reference::philox({ones, ones, ones, ones}, {ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(ActivationTwin, GradientsAreFiniteDifferences) {
  Random random(9);
  const std::array<std::size_t, 4> shape{2, 3, 4, 5};
  const std::vector<double> x = random.normal(120);
  const std::vector<double> dy = random.normal(120);
  const auto relu = [](const std::vector<double>& at) { return reference::relu(at); };
  const auto dropout = [&](const std::vector<double>& at) {
    return reference::dropout(at, shape, 16, 0.4f, 3, 5, 6);
  };
  EXPECT_LT(relative_error(reference::relu_gradient(relu(x), dy), finite_differences(relu, x, dy)),
            1e-8);
  EXPECT_LT(relative_error(dropout(dy), finite_differences(dropout, x, dy)), 1e-8);
}

}  // namespace
}  // namespace dovetail
