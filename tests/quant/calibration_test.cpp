// Ranges from histograms, and scales of weights.
#include "quant/calibration.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "quant/weight_codes.hpp"
#include "support/error.hpp"

namespace dovetail::quant {
namespace {

std::vector<float> normal(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> value(0, 1);
  std::vector<float> values(count);
  for (float& v : values) v = value(random);
  return values;
}

double squared_error(const std::vector<float>& values, double range, int levels) {
  double error = 0;
  for (const float value : values) {
    const double step = range / levels, magnitude = std::abs(double{value});
    const double rounded = std::min<double>(std::round(magnitude / step), levels) * step;
    error += (magnitude - rounded) * (magnitude - rounded);
  }
  return error;
}

TEST(Histogram, CountsMagnitudesAndMerges) {
  Histogram a, b;
  a.add(std::vector<float>{0, 1e-30F, 1.5F, -1.5F, 1e30F});
  b.add(std::vector<float>{1.5F});
  a.merge(b);
  EXPECT_EQ(a.total(), 6U);
  EXPECT_EQ(a.counts().front(), 2U);
  EXPECT_EQ(a.counts().back(), 1U);
  int bin = 1;
  while (a.counts()[static_cast<std::size_t>(bin)] == 0) ++bin;
  EXPECT_EQ(a.counts()[static_cast<std::size_t>(bin)], 3U);
  EXPECT_NEAR(Histogram::centre(bin), 1.5, 0.1);
  EXPECT_GE(Histogram::edge(bin), 1.5);
  EXPECT_LE(Histogram::edge(bin - 1), 1.5);
}

TEST(ChooseRange, PercentileLeavesTheOutliersOut) {
  std::vector<float> values = normal(100000, 1);
  values[0] = 1000;
  Histogram seen;
  seen.add(values);
  const Calibration percentile{CalibrationMethod::percentile, 99.0};
  EXPECT_NEAR(choose_range(percentile, 1000, seen, 15), 2.576, 0.25);
  EXPECT_EQ(choose_range({}, 1000, seen, 15), 1000);
  EXPECT_EQ(choose_range(percentile, 3, Histogram{}, 15), 3);
}

TEST(ChooseRange, LeastSquaresIsWithinAFewPercentOfTheBest) {
  const std::vector<float> values = normal(20000, 2);
  Histogram seen;
  seen.add(values);
  for (const int levels : {1, 3, 15, 127}) {
    const double range = choose_range({CalibrationMethod::mse}, 4.5, seen, levels);
    double best = 1e30;
    for (double tried = 0.2; tried < 4.5; tried += 0.02)
      best = std::min(best, squared_error(values, tried, levels));
    EXPECT_LT(squared_error(values, range, levels), 1.05 * best) << levels << " levels";
  }
}

TEST(ChooseRange, NamesAreChecked) {
  EXPECT_EQ(parse_calibration("max").method, CalibrationMethod::max);
  EXPECT_EQ(parse_calibration("mse").method, CalibrationMethod::mse);
  EXPECT_EQ(parse_calibration("percentile").method, CalibrationMethod::percentile);
  EXPECT_EQ(parse_calibration("percentile").percentile, 99.9);
  EXPECT_EQ(parse_calibration("percentile:99.99").percentile, 99.99);
  for (const char* wrong : {"", "median", "percentile:", "percentile:0", "percentile:101",
                            "percentile:nan", "percentile:99x"})
    EXPECT_THROW(parse_calibration(wrong), UsageError) << wrong;
}

double error_of(const std::vector<float>& weights, const WeightCodes& codes) {
  double error = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double miss = double{weights[i]} - codes.scale * codes.codes[i];
    error += miss * miss;
  }
  return error;
}

TEST(WeightCodes, ScalesComeNearTheLeastError) {
  const std::vector<float> weights = normal(2000, 3);
  for (const char* name : {"w1a1", "wta1", "w2a1", "w4a1"}) {
    const numeric::ElementFormat format = numeric::parse_format(name).weights;
    const double got =
        error_of(weights, weight_codes(weights, format, choose_scale(weights, format)));
    double best = 1e30;
    for (double scale = 0.05; scale < 4; scale += 0.005)
      best = std::min(best, error_of(weights, weight_codes(weights, format, scale)));
    EXPECT_LT(got, 1.02 * best) << name;
  }
}

TEST(WeightCodes, SignsAndZeros) {
  const numeric::ElementFormat binary = numeric::parse_format("w1a1").weights;
  const std::vector<float> weights{0, -0.1F, 0.3F};
  EXPECT_EQ(weight_codes(weights, binary, 1).codes, (std::vector<std::int8_t>{1, -1, 1}));
  EXPECT_NEAR(choose_scale(weights, binary), 0.4 / 3, 1e-7);
  EXPECT_EQ(choose_scale(std::vector<float>(5, 0.0F), binary), 1);
}

}  // namespace
}  // namespace dovetail::quant
