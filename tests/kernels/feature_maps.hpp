// For tests of kernels: the device, random values, and feature maps in canonical order [batch,
// channels, height, width] and in device layouts.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "device/test_device.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail::testing {

/// Runs a test for the kernels of each device class.
class BothVariants : public ::testing::TestWithParam<Variant> {};

inline std::string variant_name(const ::testing::TestParamInfo<Variant>& info) {
  return to_string(info.param);
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  /// In [low, high].
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  /// float32 values as float64, so that the twin sees exactly what the device sees.
  std::vector<double> normal(std::size_t count, double mean = 0, double deviation = 1) {
    std::normal_distribution<float> draw(static_cast<float>(mean), static_cast<float>(deviation));
    std::vector<double> values(count);
    for (double& value : values) value = static_cast<double>(draw(engine_));
    return values;
  }
  /// Small integers, so that equal values meet.
  std::vector<double> integers(std::size_t count, int low, int high) {
    std::vector<double> values(count);
    for (double& value : values) value = integer(low, high);
    return values;
  }

 private:
  std::mt19937 engine_;
};

/// What outputs hold before a launch; whatever may not be written must still hold it afterwards.
inline constexpr float poison = -7.0e33f;

inline std::vector<float> to_float(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

inline opencl::Buffer upload(const std::vector<double>& values) {
  return test_device().upload(std::span<const float>(to_float(values)));
}

inline opencl::Buffer poisoned(std::size_t elements) {
  return test_device().upload(std::span<const float>(std::vector<float>(elements, poison)));
}

inline std::vector<double> download(const opencl::Buffer& buffer) {
  const std::vector<float> values = test_device().download<float>(buffer);
  return {values.begin(), values.end()};
}

/// Calls visit(canonical index, device index) for every element of the first `batch` images.
template <typename Visit>
void for_each_element(const Layout& layout, int batch, Visit visit) {
  std::size_t canonical = 0;
  for (int n = 0; n < batch; ++n)
    for (int c = 0; c < layout.channels; ++c)
      for (int row = 0; row < layout.height; ++row)
        for (int column = 0; column < layout.width; ++column)
          visit(canonical++, layout.index(n, row, column, c));
}

/// [batch, channels, height, width] in the device's layout; halo, padding lanes and the images past
/// it are zero.
inline std::vector<double> arrange(const Layout& layout, int batch,
                                   const std::vector<double>& values) {
  std::vector<double> arranged(layout.size(), 0.0);
  for_each_element(layout, batch,
                   [&](std::size_t from, std::size_t to) { arranged[to] = values.at(from); });
  return arranged;
}

/// The same into device memory.
inline opencl::Buffer upload_map(const Layout& layout, int batch,
                                 const std::vector<double>& values) {
  return upload(arrange(layout, batch, values));
}

/// The first `batch` images as [batch, channels, height, width]. Sees that the padding lanes beside
/// them are zero and that everything else (halo, further images) still holds the poison.
inline std::vector<double> maps_of(const Layout& layout, int batch,
                                   const std::vector<float>& arranged) {
  std::vector<float> expected(layout.size(), poison);
  for (int n = 0; n < batch; ++n)
    for (int row = 0; row < layout.height; ++row)
      for (int column = 0; column < layout.width; ++column)
        for (int c = layout.channels; c < layout.channel_stride; ++c)
          expected[layout.index(n, row, column, c)] = 0;
  std::vector<double> values;
  for_each_element(layout, batch, [&](std::size_t, std::size_t from) {
    values.push_back(static_cast<double>(arranged[from]));
    expected[from] = arranged[from];
  });
  EXPECT_TRUE(std::equal(arranged.begin(), arranged.end(), expected.begin(), [](float a, float b) {
    return a == b || (std::isnan(a) && std::isnan(b));
  })) << "the kernel wrote a halo, a further image or a padding lane";
  return values;
}

/// The same from device memory.
inline std::vector<double> download_map(const Layout& layout, int batch,
                                        const opencl::Buffer& buffer) {
  return maps_of(layout, batch, test_device().download<float>(buffer));
}

/// Of values that belong together; NaN where one of them is.
inline double largest_difference(const std::vector<double>& actual,
                                 const std::vector<double>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(actual.at(i) - expected[i]);
    if (std::isnan(difference)) return difference;
    largest = std::max(largest, difference);
  }
  return largest;
}

/// The largest difference over the largest magnitude of what is expected.
inline double relative_error(const std::vector<double>& actual,
                             const std::vector<double>& expected) {
  double magnitude = 1e-30;
  for (const double value : expected) magnitude = std::max(magnitude, std::abs(value));
  return largest_difference(actual, expected) / magnitude;
}

}  // namespace dovetail::testing
