// The twin of Conv2d: the definition written out, on canonical arrays.
#pragma once

#include <cstddef>
#include <vector>

namespace dovetail::reference {

/// x [batch, in, height, width], weight [out, in, kernel, kernel], bias [out], y [batch, out,
/// height', width'].
struct Conv2dExtents {
  int batch, in, out, height, width, kernel, stride, padding;

  int out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  std::size_t x_size() const { return static_cast<std::size_t>(batch * in * height * width); }
  std::size_t y_size() const {
    return static_cast<std::size_t>(batch * out * out_height() * out_width());
  }
  std::size_t weight_size() const { return static_cast<std::size_t>(out * in * kernel * kernel); }
};

/// Calls visit(index in y, index in x, index in weight) for every product of the convolution, and
/// the gradients follow: y[i] = Σ x[j] w[k] means dx[j] = Σ dy[i] w[k] and dw[k] = Σ dy[i] x[j].
template <typename Visit>
void each_product(const Conv2dExtents& e, Visit visit) {
  const auto at = [](int a, int b, int c, int d, int extent_b, int extent_c, int extent_d) {
    return static_cast<std::size_t>(((a * extent_b + b) * extent_c + c) * extent_d + d);
  };
  for (int n = 0; n < e.batch; ++n)
    for (int o = 0; o < e.out; ++o)
      for (int row = 0; row < e.out_height(); ++row)
        for (int column = 0; column < e.out_width(); ++column)
          for (int i = 0; i < e.in; ++i)
            for (int kh = 0; kh < e.kernel; ++kh)
              for (int kw = 0; kw < e.kernel; ++kw) {
                const int y = row * e.stride + kh - e.padding;
                const int x = column * e.stride + kw - e.padding;
                if (y < 0 || y >= e.height || x < 0 || x >= e.width) continue;
                visit(at(n, o, row, column, e.out, e.out_height(), e.out_width()),
                      at(n, i, y, x, e.in, e.height, e.width),
                      at(o, i, kh, kw, e.in, e.kernel, e.kernel));
              }
}

/// y = x ⋆ weight + bias, then max(0, ·) when `relu`.
template <typename T>
std::vector<T> conv2d(const Conv2dExtents& e, const std::vector<T>& x, const std::vector<T>& weight,
                      const std::vector<T>& bias, bool relu) {
  std::vector<T> y(e.y_size());
  const std::size_t pixels = static_cast<std::size_t>(e.out_height() * e.out_width());
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = bias[i / pixels % bias.size()];
  each_product(e, [&](std::size_t i, std::size_t j, std::size_t k) { y[i] += x[j] * weight[k]; });
  if (relu) {
    for (T& value : y) value = value < T(0) ? T(0) : value;
  }
  return y;
}

/// dx; with `mask`, 0 where x ≤ 0.
template <typename T>
std::vector<T> conv2d_input_gradient(const Conv2dExtents& e, const std::vector<T>& dy,
                                     const std::vector<T>& weight, const std::vector<T>& x,
                                     bool mask) {
  std::vector<T> dx(e.x_size());
  each_product(e, [&](std::size_t i, std::size_t j, std::size_t k) { dx[j] += dy[i] * weight[k]; });
  for (std::size_t j = 0; mask && j < dx.size(); ++j) {
    if (x[j] <= T(0)) dx[j] = T(0);
  }
  return dx;
}

template <typename T>
std::vector<T> conv2d_weight_gradient(const Conv2dExtents& e, const std::vector<T>& x,
                                      const std::vector<T>& dy) {
  std::vector<T> dweight(e.weight_size());
  each_product(e, [&](std::size_t i, std::size_t j, std::size_t k) { dweight[k] += dy[i] * x[j]; });
  return dweight;
}

template <typename T>
std::vector<T> conv2d_bias_gradient(const Conv2dExtents& e, const std::vector<T>& dy) {
  std::vector<T> dbias(static_cast<std::size_t>(e.out));
  const std::size_t pixels = static_cast<std::size_t>(e.out_height() * e.out_width());
  for (std::size_t i = 0; i < dy.size(); ++i) dbias[i / pixels % dbias.size()] += dy[i];
  return dbias;
}

}  // namespace dovetail::reference
