// What the tests of the matrix and convolution kernels share: a device, random data, the error
// measure.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "device/test_device.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// One test for each variant, all on the tests' device. Random numbers are fresh on
/// every run; a failure prints the seed, and DOVETAIL_TEST_SEED repeats it.
template <typename Parameter>
class DeviceTest : public ::testing::TestWithParam<Parameter> {
 protected:
  void SetUp() override {
    const char* wanted = std::getenv("DOVETAIL_TEST_SEED");
    seed_ = wanted ? static_cast<unsigned>(std::stoul(wanted)) : std::random_device{}();
    generator_.seed(seed_);
  }
  void TearDown() override {
    if (this->HasFailure()) std::printf("repeat with DOVETAIL_TEST_SEED=%u\n", seed_);
  }

  opencl::Device& device() { return testing::test_device(); }

  int between(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(generator_);
  }
  template <typename T>
  T one_of(std::initializer_list<T> choices) {
    return choices.begin()[between(0, static_cast<int>(choices.size()) - 1)];
  }
  std::vector<float> random(std::size_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = normal(generator_);
    return values;
  }

  opencl::Buffer upload(const std::vector<float>& values) {
    return device().upload(std::span<const float>(values));
  }
  opencl::Buffer poisoned(std::size_t count) { return upload(std::vector<float>(count, poison)); }

  static constexpr float poison = std::numeric_limits<float>::quiet_NaN();

 private:
  unsigned seed_ = 0;
  std::mt19937 generator_;
};

using ComputeTest = DeviceTest<Variant>;

inline std::vector<double> widen(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

/// ‖actual − expected‖ / ‖scale‖; NaN where either holds a NaN, infinite where the sizes differ.
inline double error_against(const std::vector<float>& actual, const std::vector<double>& expected,
                            const std::vector<double>& scale) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += scale[i] * scale[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

/// ‖actual − expected‖ / ‖expected‖.
inline double relative_error(const std::vector<float>& actual,
                             const std::vector<double>& expected) {
  return error_against(actual, expected, expected);
}

/// d(Σ y g)/d(argument) by central differences, where `forward` maps the argument to y.
template <typename Forward>
std::vector<double> finite_differences(std::vector<double> argument, const std::vector<double>& g,
                                       Forward forward) {
  constexpr double h = 1e-4;
  const auto loss = [&] {
    const std::vector<double> y = forward(argument);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * g[i];
    return sum;
  };
  std::vector<double> gradient;
  for (double& value : argument) {
    const double centre = value;
    value = centre + h;
    const double above = loss();
    value = centre - h;
    gradient.push_back((above - loss()) / (2 * h));
    value = centre;
  }
  return gradient;
}

constexpr double tolerance = 1e-5;

inline std::string variant_name(const ::testing::TestParamInfo<Variant>& variant) {
  return to_string(variant.param);
}

}  // namespace dovetail
