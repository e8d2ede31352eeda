// The plain twins of kernels/activation.cl and kernels/normalise_input.cl.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/augmentation.hpp"

namespace dovetail::reference {

template <typename T>
std::vector<T> relu(std::vector<T> x) {
  for (T& value : x) value = value < 0 ? T(0) : value;
  return x;
}

template <typename T>
std::vector<T> relu_gradient(const std::vector<T>& y, std::vector<T> dy) {
  for (std::size_t i = 0; i < y.size(); ++i) dy[i] = y[i] > 0 ? dy[i] : T(0);
  return dy;
}

/// One block of Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1,
/// 2, 3", SC 2011).
inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                           std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// Whether dropout with probability p keeps an element of a sample; elements are numbered as
/// ops/activation.hpp says.
inline bool keeps(float p, std::uint32_t stream, std::uint64_t seed, std::uint64_t sample,
                  std::uint64_t element) {
  const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  const auto words = philox({low(sample), low(sample >> 32), low(element / 4), stream},
                            {low(seed), low(seed >> 32)});
  return static_cast<double>(words[element % 4]) >=
         std::floor(std::ldexp(static_cast<double>(p), 32));
}

/// Inverted dropout of x [batch, channels, height, width], also its gradient; `channel_stride` as
/// in the device layout.
template <typename T>
std::vector<T> dropout(const std::vector<T>& x, const std::array<std::size_t, 4>& shape,
                       std::size_t channel_stride, float p, std::uint32_t stream,
                       std::uint64_t seed, std::uint64_t first_sample) {
  const auto [batch, channels, height, width] = shape;
  const std::size_t pixels = height * width;
  std::vector<T> y(x.size(), T(0));
  for (std::size_t n = 0; n < batch; ++n)
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        const std::size_t i = (n * channels + c) * pixels + pixel;
        if (keeps(p, stream, seed, first_sample + n, pixel * channel_stride + c))
          y[i] = x[i] / (1 - static_cast<T>(p));
      }
  return y;
}

/// images [batch, channels, pixels] → (x / 255 − mean[c]) / deviation[c], in the same order.
template <typename T>
std::vector<T> normalise_input(const std::vector<std::uint8_t>& images, std::size_t pixels,
                               const std::vector<T>& mean, const std::vector<T>& deviation) {
  std::vector<T> y(images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    const std::size_t c = i / pixels % mean.size();
    y[i] = (static_cast<T>(images[i]) / 255 - mean[c]) / deviation[c];
  }
  return y;
}

/// What Augmentation does to raw images [batch, channels, height, width]: shifted and mirrored
/// pixels, and -1 where they are erased.
inline std::vector<int> augment(const std::vector<std::uint8_t>& images,
                                const std::array<std::size_t, 4>& shape,
                                const Augmentation& augmentation, std::uint64_t seed,
                                std::uint64_t first_sample) {
  const auto [batch, channels, height, width] = shape;
  const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  const auto below = [](std::uint32_t word, std::uint64_t bound) {
    return static_cast<int>(word * bound >> 32);
  };
  const int rows = static_cast<int>(height), columns = static_cast<int>(width);
  std::vector<int> y(images.size());
  for (std::size_t n = 0; n < batch; ++n) {
    const std::uint64_t sample = first_sample + n;
    const auto words =
        philox({low(sample), low(sample >> 32), 0, 0xFFFFFFFFu}, {low(seed), low(seed >> 32)});
    const auto choices = static_cast<std::uint64_t>(2 * augmentation.crop + 1);
    const int dy = below(words[0], choices) - augmentation.crop;
    const int dx = below(words[1], choices) - augmentation.crop;
    const bool mirrored = augmentation.flip && words[2] >= 0x80000000u;
    const int top = below(words[3] & 0xFFFF0000u, height) - augmentation.erase / 2;
    const int left = below(words[3] << 16, width) - augmentation.erase / 2;
    for (std::size_t c = 0; c < channels; ++c)
      for (int row = 0; row < rows; ++row)
        for (int column = 0; column < columns; ++column) {
          const int from_row = row + dy;
          const int from = (mirrored ? columns - 1 - column : column) + dx;
          const bool inside = from_row >= 0 && from_row < rows && from >= 0 && from < columns;
          const std::size_t image = (n * channels + c) * height;
          const auto at = [&](int r, int q) {
            return (image + static_cast<std::size_t>(r)) * width + static_cast<std::size_t>(q);
          };
          const bool erased = row >= top && row < top + augmentation.erase && column >= left &&
                              column < left + augmentation.erase;
          y[at(row, column)] = erased ? -1 : inside ? images[at(from_row, from)] : 0;
        }
  }
  return y;
}

}  // namespace dovetail::reference
