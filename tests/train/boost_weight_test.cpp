// The estimated weight is the one that makes the combined gradient best.
#include "train/boost_weight.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace dovetail {
namespace {

constexpr std::size_t dimensions = 400;

/// A world where everything is known: true gradient G, noise of a sample, and a contribution
/// b = α f + e.
struct Simulation {
  double alpha, error;  // error: standard deviation of one component of e
  double sigma = 0.5;   // of one component of one sample's gradient
  int n = 32, m = 16;
  std::mt19937_64 random;

  std::vector<float> mean_of(int samples) {
    std::normal_distribution<double> noise(0, sigma / std::sqrt(samples));
    std::vector<float> g;
    for (std::size_t i = 0; i < dimensions; ++i)
      g.push_back(static_cast<float>(0.1 * std::sin(static_cast<double>(i)) + noise(random)));
    return g;
  }
  std::vector<float> contribution(const std::vector<float>& f) {
    std::normal_distribution<double> noise(0, error);
    std::vector<float> b;
    for (const float value : f) b.push_back(static_cast<float>(alpha * value + noise(random)));
    return b;
  }
  double distance_with(double w, int repetitions) {
    double sum = 0;
    for (int r = 0; r < repetitions; ++r) {
      const auto g = mean_of(n), f = mean_of(m), b = contribution(f);
      for (std::size_t i = 0; i < dimensions; ++i) {
        const double u = (n * g[i] + w * m * b[i]) / (n + w * m);
        const double d = u - 0.1 * std::sin(static_cast<double>(i));
        sum += d * d;
      }
    }
    return sum / repetitions;
  }
};

std::vector<float> times(std::vector<float> values, int factor) {
  for (float& value : values) value *= static_cast<float>(factor);
  return values;
}

double estimate(Simulation& s) {
  BoostWeight weight(std::nullopt);
  for (int i = 0; i < 20; ++i) {
    const auto g = s.mean_of(s.n), f = s.mean_of(s.m), b = s.contribution(f);
    weight.add(measure_boost(times(g, s.n), s.n, times(f, s.m), times(b, s.m), s.m), s.m);
  }
  return weight.weight();
}

TEST(BoostWeight, MeasuresCosineAndNormRatio) {
  const std::vector<float> own{1, 1}, f{2, 0}, b{3, 3};
  const BoostMeasurement m = measure_boost(own, 1, f, b, 2);
  EXPECT_NEAR(m.cosine, std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(m.norm_ratio, std::sqrt(4.5), 1e-12);
  EXPECT_NEAR(m.error, 2.25, 1e-12);     // b / 2 = (1.5, 1.5), f / 2 = (1, 0)
  EXPECT_NEAR(m.signal, 1, 1e-12);       // (1, 1) · (1, 0)
  EXPECT_NEAR(m.noise, 1 / 1.5, 1e-12);  // |(0, 1)|² / (1 + 1/2)
}

TEST(BoostWeight, AnExactContributionCountsInFull) {
  Simulation s{.alpha = 1, .error = 0, .random = std::mt19937_64(std::random_device{}())};
  EXPECT_NEAR(estimate(s), 1, 1e-3);
}

TEST(BoostWeight, IsTheWeightWithTheLeastError) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  for (const auto& [alpha, error] : {std::pair{1.0, 0.15}, {0.6, 0.05}, {1.3, 0.3}}) {
    Simulation s{.alpha = alpha, .error = error, .random = std::mt19937_64(seed)};
    const double w = estimate(s);
    double best = 0, least = 1e300;
    for (double candidate = 0; candidate <= 1; candidate += 0.05) {
      s.random.seed(seed + 1);  // the same draws for every candidate
      const double distance = s.distance_with(candidate, 60);
      if (distance < least) {
        least = distance;
        best = candidate;
      }
    }
    s.random.seed(seed + 1);
    EXPECT_LT(s.distance_with(w, 60), 1.02 * least)
        << "alpha " << alpha << ", error " << error << ": " << w << " instead of " << best;
  }
}

TEST(BoostWeight, AContributionThatPointsAwayCountsNothing) {
  Simulation s{.alpha = -0.5, .error = 0.1, .random = std::mt19937_64(std::random_device{}())};
  EXPECT_EQ(estimate(s), 0);
}

TEST(BoostWeight, AFixedWeightStays) {
  BoostWeight weight(0.25);
  weight.add({.cosine = 0.1, .norm_ratio = 1, .noise = 1, .signal = 1, .error = 1}, 8);
  EXPECT_EQ(weight.weight(), 0.25);
  EXPECT_EQ(weight.mean_cosine(), 0.1);
}

}  // namespace
}  // namespace dovetail
