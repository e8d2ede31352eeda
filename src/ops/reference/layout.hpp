// Converts between the canonical arrays of files and twins and the layouts of device memory.
//
// Canonical: feature maps [batch, channels, height, width]; weights [out, in, kh, kw] and [out,
// in]; row-major.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <vector>

#include "tensor/layout.hpp"

namespace dovetail::reference {

namespace detail {

inline void expect_size(std::size_t actual, std::size_t expected) {
  if (actual != expected) throw std::invalid_argument("an array does not fit its layout");
}

/// Calls visit(canonical index, device index) for every element of `batch` feature maps.
template <typename Visit>
void each_element(const Layout& layout, int batch, Visit visit) {
  std::size_t canonical = 0;
  for (int n = 0; n < batch; ++n) {
    for (int c = 0; c < layout.channels; ++c) {
      for (int row = 0; row < layout.height; ++row) {
        for (int column = 0; column < layout.width; ++column) {
          visit(canonical++, layout.index(n, row, column, c));
        }
      }
    }
  }
}

/// The same for a convolution's weight: canonical [out, in, k, k], device [k, k, in, out_stride].
template <typename Visit>
void each_weight(int out, int in, int kernel, int out_stride, Visit visit) {
  std::size_t canonical = 0;
  for (int o = 0; o < out; ++o) {
    for (int i = 0; i < in; ++i) {
      for (int tap = 0; tap < kernel * kernel; ++tap) {
        visit(canonical++, static_cast<std::size_t>((tap * in + i) * out_stride + o));
      }
    }
  }
}

/// The same for a dense layer's weight: canonical [out, channels · height · width], device
/// [image_stride, out_stride], whose rows follow the feature map that the layer reads (of `input`,
/// one image).
template <typename Visit>
void each_dense_weight(int out, const Layout& input, int out_stride, Visit visit) {
  const int features = input.channels * input.height * input.width;
  for (int o = 0; o < out; ++o) {
    each_element(input, 1, [&](std::size_t feature, std::size_t row) {
      visit(static_cast<std::size_t>(o) * static_cast<std::size_t>(features) + feature,
            row * static_cast<std::size_t>(out_stride) + static_cast<std::size_t>(o));
    });
  }
}

}  // namespace detail

/// Canonical maps → device layout; halo, padding lanes and images beyond `maps` are zero.
inline std::vector<float> to_device(const std::vector<float>& maps, const Layout& layout) {
  const auto image = static_cast<std::size_t>(layout.channels * layout.height * layout.width);
  const int batch = static_cast<int>(maps.size() / image);
  detail::expect_size(maps.size(), static_cast<std::size_t>(batch) * image);
  if (batch > layout.batch) throw std::invalid_argument("more images than the layout holds");
  std::vector<float> device(layout.size());
  detail::each_element(layout, batch,
                       [&](std::size_t from, std::size_t to) { device[to] = maps[from]; });
  return device;
}

/// Device layout → canonical maps of the first `batch` images.
inline std::vector<float> from_device(const std::vector<float>& device, const Layout& layout,
                                      int batch) {
  detail::expect_size(device.size(), layout.size());
  std::vector<float> maps(
      static_cast<std::size_t>(batch * layout.channels * layout.height * layout.width));
  detail::each_element(layout, batch,
                       [&](std::size_t to, std::size_t from) { maps[to] = device[from]; });
  return maps;
}

/// [out, in, kernel, kernel] → [kernel, kernel, in, out_stride], padding lanes zero.
inline std::vector<float> weight_to_device(const std::vector<float>& weight, int out, int in,
                                           int kernel) {
  const int stride = round_up(out, channel_lanes);
  detail::expect_size(weight.size(), static_cast<std::size_t>(out * in * kernel * kernel));
  std::vector<float> device(static_cast<std::size_t>(kernel * kernel * in * stride));
  detail::each_weight(out, in, kernel, stride,
                      [&](std::size_t from, std::size_t to) { device[to] = weight[from]; });
  return device;
}

/// [kernel, kernel, in, out_stride] → [out, in, kernel, kernel].
inline std::vector<float> weight_from_device(const std::vector<float>& device, int out, int in,
                                             int kernel) {
  const int stride = round_up(out, channel_lanes);
  detail::expect_size(device.size(), static_cast<std::size_t>(kernel * kernel * in * stride));
  std::vector<float> weight(static_cast<std::size_t>(out * in * kernel * kernel));
  detail::each_weight(out, in, kernel, stride,
                      [&](std::size_t to, std::size_t from) { weight[to] = device[from]; });
  return weight;
}

/// [out, channels · height · width of `input`] → [input.image_stride, out_stride]; rows of halo and
/// padding are zero.
inline std::vector<float> dense_to_device(const std::vector<float>& weight, int out,
                                          const Layout& input) {
  const int stride = round_up(out, channel_lanes);
  detail::expect_size(weight.size(),
                      static_cast<std::size_t>(out * input.channels * input.height * input.width));
  std::vector<float> device(static_cast<std::size_t>(input.image_stride() * stride));
  detail::each_dense_weight(out, input, stride,
                            [&](std::size_t from, std::size_t to) { device[to] = weight[from]; });
  return device;
}

/// [input.image_stride, out_stride] → [out, channels · height · width of `input`].
inline std::vector<float> dense_from_device(const std::vector<float>& device, int out,
                                            const Layout& input) {
  const int stride = round_up(out, channel_lanes);
  detail::expect_size(device.size(), static_cast<std::size_t>(input.image_stride() * stride));
  std::vector<float> weight(
      static_cast<std::size_t>(out * input.channels * input.height * input.width));
  detail::each_dense_weight(out, input, stride,
                            [&](std::size_t to, std::size_t from) { weight[to] = device[from]; });
  return weight;
}

}  // namespace dovetail::reference
