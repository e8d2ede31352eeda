// Fake quantisation against its twins, and the twins against worked examples.
#include "ops/fake_quantise.hpp"

#include <limits>

#include "kernels/feature_maps.hpp"
#include "ops/reference/fake_quantise.hpp"

namespace dovetail {
namespace {

using namespace testing;
using numeric::parse_format;

class FakeQuantiseTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, FakeQuantiseTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

unsigned seed() {
  return 7100 + static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed());
}

std::vector<WeightLaw> weight_laws() {
  std::vector<WeightLaw> laws;
  for (const char* name : {"w1a1", "wta1", "w2a1", "w4a1", "w8a1"})
    laws.push_back(weight_law(parse_format(name).weights));
  return laws;
}

std::vector<ActivationLaw> uniform_laws() {
  std::vector<ActivationLaw> laws;
  for (const char* name : {"w1a2", "w1a4", "w1a8"})
    laws.push_back(activation_law(parse_format(name).activations));
  return laws;
}

/// A weight [outputs, pixels · channels] and its place on the device, behind maps whose channels
/// are padded to `period`.
struct Weight {
  int outputs, pixels, channels, period;
  WeightMatrix matrix() const {
    return {.rows = pixels * period,
            .column_stride = round_up(outputs, channel_lanes),
            .period = period,
            .valid = channels};
  }
  std::size_t size() const { return static_cast<std::size_t>(outputs * pixels * channels); }
  std::vector<double> to_device(const std::vector<double>& canonical) const {
    const auto stride = static_cast<std::size_t>(matrix().column_stride);
    std::vector<double> arranged(static_cast<std::size_t>(matrix().rows) * stride, 0.0);
    each([&](std::size_t i, std::size_t at) { arranged[at] = canonical[i]; });
    return arranged;
  }
  /// Sees that all padding is zero.
  std::vector<double> from_device(std::vector<double> arranged) const {
    std::vector<double> canonical(size());
    each([&](std::size_t i, std::size_t at) {
      canonical[i] = arranged[at];
      arranged[at] = 0;
    });
    EXPECT_EQ(std::count(arranged.begin(), arranged.end(), 0.0),
              static_cast<std::ptrdiff_t>(arranged.size()))
        << "padding is not zero";
    return canonical;
  }

 private:
  template <typename Visit>
  void each(Visit visit) const {
    const auto stride = static_cast<std::size_t>(matrix().column_stride);
    std::size_t i = 0;
    for (int o = 0; o < outputs; ++o)
      for (int pixel = 0; pixel < pixels; ++pixel)
        for (int c = 0; c < channels; ++c)
          visit(i++, static_cast<std::size_t>(pixel * period + c) * stride +
                         static_cast<std::size_t>(o));
  }
};

std::vector<Weight> weights() {
  std::vector<Weight> made = {{256, 1, 784, 784}, {10, 4, 20, 32}, {64, 9, 3, 3}};
  Random random(seed());
  for (int i = 0; i < 3; ++i) {
    const int channels = random.integer(1, 40);
    made.push_back(
        {random.integer(1, 70), random.integer(1, 9), channels, channels + random.integer(0, 16)});
  }
  return made;
}

/// Whether float32 and float64 may round value / step to unlike codes, or clip it unlike.
bool hangs_on_rounding(double value, double step) {
  const double doubled = 2 * value / step;
  return step > 0 && std::abs(doubled - std::round(doubled)) < 1e-4;
}

TEST_P(FakeQuantiseTest, WeightsAreTheTwins) {
  SCOPED_TRACE(seed());
  Random random(seed());
  std::size_t compared = 0, left_out = 0;
  for (const WeightLaw& law : weight_laws()) {
    for (const Weight& shape : weights()) {
      std::vector<double> weight = random.normal(shape.size(), 0, 0.5);
      std::fill_n(weight.begin(), shape.pixels * shape.channels, 0.0);  // a channel of zeros
      const std::vector<double> upper = random.normal(shape.size());
      WeightQuantiser quantiser(test_device(), GetParam(), shape.matrix(), law);
      const opencl::Buffer master = upload(shape.to_device(weight));
      const opencl::Buffer gradient = upload(shape.to_device(upper));
      const opencl::Buffer output = poisoned(shape.to_device(weight).size());
      quantiser.forward(master, output);
      quantiser.backward(master, gradient);

      const auto steps =
          reference::weight_steps(law, weight, static_cast<std::size_t>(shape.outputs));
      const auto expected = reference::quantise_weights(law, weight, steps);
      const auto expected_gradient = reference::weight_gradient(law, weight, steps, upper);
      const auto actual = shape.from_device(download(output));
      const auto actual_gradient = shape.from_device(download(gradient));
      for (std::size_t i = 0; i < weight.size(); ++i) {
        const double step = steps[i / (weight.size() / steps.size())];
        if (!law.binary && hangs_on_rounding(weight[i], step)) {
          ++left_out;
          continue;
        }
        ++compared;
        ASSERT_NEAR(actual[i], expected[i], 2e-6 * std::abs(expected[i])) << i;
        ASSERT_EQ(actual_gradient[i], expected_gradient[i]) << i;
      }
    }
  }
  EXPECT_LT(left_out, compared / 20);
}

TEST_P(FakeQuantiseTest, SignsAreTheTwinsBitForBit) {
  SCOPED_TRACE(seed());
  Random random(seed());
  const ActivationLaw law = activation_law(parse_format("w1a1").activations);
  for (const Layout& layout :
       {feature_map(5, 1, 1, 128), feature_map(3, 9, 7, 33, 1), feature_map(4, 5, 6, 7)}) {
    const int batch = random.integer(1, layout.batch);
    const std::size_t count =
        static_cast<std::size_t>(batch * layout.channels * layout.height * layout.width);
    std::vector<double> x = random.normal(count);
    x[0] = 0, x[1] = 1, x[2] = -1;
    const std::vector<double> dy = random.normal(count);
    ActivationQuantiser quantiser(test_device(), GetParam(), layout, law);
    const opencl::Buffer x_map = upload_map(layout, batch, x);
    const opencl::Buffer y_map = poisoned(layout.size()), dx_map = poisoned(layout.size());
    quantiser.forward(x_map, {}, y_map, batch);
    quantiser.backward(x_map, {}, upload_map(layout, batch, dy), dx_map, {}, batch);
    EXPECT_EQ(download_map(layout, batch, y_map), reference::quantise_activations(law, x, 0.0));
    EXPECT_EQ(download_map(layout, batch, dx_map), reference::activation_gradient(law, x, 0.0, dy));
  }
}

/// Multiples of an eighth of the step 0.25: ties and both ends are among them, and float32 is
/// exact.
TEST_P(FakeQuantiseTest, UniformActivationsAreTheTwinsBitForBit) {
  SCOPED_TRACE(seed());
  Random random(seed());
  for (const ActivationLaw& law : uniform_laws()) {
    for (const Layout& layout :
         {feature_map(5, 1, 1, 128), feature_map(3, 9, 7, 33, 1), feature_map(70, 5, 6, 7)}) {
      const int batch = random.integer(1, layout.batch);
      const std::size_t count =
          static_cast<std::size_t>(batch * layout.channels * layout.height * layout.width);
      const double step = 0.25;
      std::vector<double> x = random.integers(count, -8, 8 * law.highest + 16);
      for (double& value : x) value *= step / 8;
      const std::vector<double> dy = random.integers(count, -9, 9);
      ActivationQuantiser quantiser(test_device(), GetParam(), layout, law);
      const opencl::Buffer x_map = upload_map(layout, batch, x);
      const opencl::Buffer y_map = poisoned(layout.size()), dx_map = poisoned(layout.size());
      const opencl::Buffer steps = upload({step}), dsteps = poisoned(16);
      quantiser.forward(x_map, steps, y_map, batch);
      quantiser.backward(x_map, steps, upload_map(layout, batch, dy), dx_map, dsteps, batch);
      EXPECT_EQ(download_map(layout, batch, y_map), reference::quantise_activations(law, x, step));
      EXPECT_EQ(download_map(layout, batch, dx_map),
                reference::activation_gradient(law, x, step, dy));
      const double features = layout.channels * layout.height * layout.width;
      const double expected =
          reference::step_gradient(law, x, step, dy) / std::sqrt(features * law.highest);
      const std::vector<double> dstep = download(dsteps);
      EXPECT_NEAR(dstep[0], expected, 1e-5 * std::abs(expected) + 1e-4);
      EXPECT_EQ(dstep[1], static_cast<double>(poison));
    }
  }
}

TEST_P(FakeQuantiseTest, AStepThatTurnsNegativeCountsAsTheLeast) {
  const Layout layout = feature_map(1, 1, 1, 3);
  ActivationQuantiser quantiser(test_device(), GetParam(), layout, {.highest = 3});
  const opencl::Buffer y = poisoned(layout.size());
  quantiser.forward(upload_map(layout, 1, {-1.0, 0.0, 1.0}), upload({-0.5}), y, 1);
  const double most = 3 * double{least_activation_step};
  EXPECT_EQ(download_map(layout, 1, y)[0], 0);
  EXPECT_EQ(download_map(layout, 1, y)[1], 0);
  EXPECT_NEAR(download_map(layout, 1, y)[2], most, 1e-9);
}

TEST_P(FakeQuantiseTest, NansStayNans) {
  const Layout layout = feature_map(1, 1, 1, 2);
  for (const ActivationLaw& law : {ActivationLaw{.binary = true}, ActivationLaw{.highest = 3}}) {
    const opencl::Buffer y = poisoned(layout.size());
    ActivationQuantiser(test_device(), GetParam(), layout, law)
        .forward(upload_map(layout, 1, {std::numeric_limits<double>::quiet_NaN(), -2.0}),
                 upload({1.0}), y, 1);
    const std::vector<double> values = download_map(layout, 1, y);
    EXPECT_TRUE(std::isnan(values[0]));
    EXPECT_EQ(values[1], law.binary ? -1 : 0);
  }
  const Weight shape{2, 1, 3, 3};
  std::vector<double> weight(shape.size(), 0.5);
  weight[1] = std::numeric_limits<double>::quiet_NaN();
  const opencl::Buffer output = poisoned(shape.to_device(weight).size());
  for (const WeightLaw& law : weight_laws()) {
    WeightQuantiser(test_device(), GetParam(), shape.matrix(), law)
        .forward(upload(shape.to_device(weight)), output);
    EXPECT_TRUE(std::isnan(shape.from_device(download(output))[1]));
  }
}

TEST(FakeQuantiseTwin, WorkedExamples) {
  const std::vector<double> weight = {0.5, -0.25, 0.0, 1.25};  // mean magnitude 0.5
  const auto codes = [&](const char* name) {
    const WeightLaw law = weight_law(parse_format(name).weights);
    const auto steps = reference::weight_steps(law, weight, 1);
    std::vector<double> quantised = reference::quantise_weights(law, weight, steps);
    for (double& value : quantised) value = std::round(value / steps[0] * 1e6) / 1e6;
    return quantised;
  };
  EXPECT_EQ(codes("w1a1"), (std::vector<double>{1, -1, 1, 1}));
  EXPECT_EQ(codes("wta1"), (std::vector<double>{1, 0, 0, 1}));       // step 0.75
  EXPECT_EQ(codes("w2a1"), (std::vector<double>{1, 0, 0, 1}));       // step 0.625
  EXPECT_EQ(codes("w4a1"), (std::vector<double>{2, -1, 0, 6}));      // step 0.22
  EXPECT_EQ(codes("w8a1"), (std::vector<double>{51, -25, 0, 127}));  // step 1.25 / 127
  // Esser et al. 2020, equation 3: 0 below, round(v) − v between, highest above.
  const ActivationLaw law{.highest = 3};
  EXPECT_EQ(reference::step_gradient(law, {-1.0}, 0.5, {1.0}), 0);
  EXPECT_DOUBLE_EQ(reference::step_gradient(law, {0.8}, 0.5, {10.0}), 4);  // v = 1.6
  EXPECT_EQ(reference::step_gradient(law, {2.0}, 0.5, {1.0}), 3);
}

TEST(QuantisationLaw, TheInputTableKeepsEveryByteWithinHalfAStep) {
  const std::vector<float> mean = {0.28f, 0.5f}, deviation = {0.35f, 0.2f};
  const std::vector<float> table = quantised_input_table(mean, deviation);
  const double step = double{largest_input(mean, deviation)} / 127;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::size_t c = i / 256;
    const double exact =
        (static_cast<double>(i % 256) / 255 - double{mean[c]}) / double{deviation[c]};
    EXPECT_LE(std::abs(double{table[i]} - exact), step * 0.5001);
    EXPECT_NEAR(double{table[i]} / step, std::round(double{table[i]} / step), 1e-4);
  }
  EXPECT_THROW(weight_law(parse_format("bfloat16").weights), UsageError);
  EXPECT_THROW(activation_law(parse_format("int6").activations), UsageError);
}

}  // namespace
}  // namespace dovetail
