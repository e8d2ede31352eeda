// Images that kernels make their input from, and what it is to be.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/feature_maps.hpp"
#include "ops/augmentation.hpp"
#include "ops/reference/activation.hpp"

namespace dovetail::testing {

using ImageExtents = std::array<std::size_t, 4>;  // batch, channels, height, width

struct ImageInput {
  std::vector<std::uint8_t> pixels;   // [samples, channels, height, width]
  std::vector<std::int32_t> samples;  // empty, or the images' numbers from `first` on
  std::uint32_t first = 0;
  std::vector<float> scale, shift;  // by channel
  Augmentation augmentation{};
  std::uint64_t seed = 0, first_sample = 0;

  /// By the twin, [batch, channels, height, width].
  std::vector<double> values(const ImageExtents& extents) const {
    const auto [batch, channels, height, width] = extents;
    const std::size_t plane = height * width;
    std::vector<std::uint8_t> picked;
    for (std::size_t image = 0; image < batch; ++image) {
      const auto sample =
          samples.empty() ? image : static_cast<std::size_t>(samples[first + image]);
      const auto from = pixels.begin() + static_cast<std::ptrdiff_t>(sample * channels * plane);
      picked.insert(picked.end(), from, from + static_cast<std::ptrdiff_t>(channels * plane));
    }
    const std::vector<int> augmented =
        reference::augment(picked, extents, augmentation, seed, first_sample);
    std::vector<double> x(augmented.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t channel = i / plane % channels;
      const float value =
          std::fma(static_cast<float>(augmented[i]), scale[channel], shift[channel]);
      x[i] = augmented[i] < 0 ? 0.0 : static_cast<double>(value);  // erased: the mean
    }
    return x;
  }
};

/// Gathered or in order, augmented or not.
inline ImageInput random_images(const ImageExtents& extents, Random& random) {
  const auto [batch, channels, height, width] = extents;
  const bool gathers = random.integer(0, 1) == 1;
  ImageInput images;
  images.pixels.resize((gathers ? 2 : 1) * batch * channels * height * width);
  for (std::uint8_t& pixel : images.pixels)
    pixel = static_cast<std::uint8_t>(random.integer(0, 255));
  if (gathers) {
    images.first = static_cast<std::uint32_t>(random.integer(0, 9));
    for (std::size_t i = 0; i < images.first + batch; ++i)
      images.samples.push_back(random.integer(0, 2 * static_cast<int>(batch) - 1));
  }
  for (std::size_t i = 0; i < channels; ++i) {
    images.scale.push_back(1.0f / static_cast<float>(random.integer(50, 200)));
    images.shift.push_back(static_cast<float>(random.integer(-3, 3)));
  }
  if (random.integer(0, 2) > 0) {
    images.augmentation = {.crop = random.integer(0, 4),
                           .flip = random.integer(0, 1) == 1,
                           .erase = random.integer(0, 6)};
    images.seed = 0x9E3779B97F4A7C15u;
    images.first_sample = 0xFFFFFFFFu;  // the counter's second word is used, too
  }
  return images;
}

}  // namespace dovetail::testing
