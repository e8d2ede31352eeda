// The plain twin of kernels/pool2d.cl.
#pragma once

#include <cstddef>
#include <vector>

namespace dovetail::reference {

/// Windows of kernel × kernel without padding on x [images, height, width]; `images` counts batch ·
/// channels.
struct Pool {
  std::size_t images = 1;
  std::size_t height = 1;
  std::size_t width = 1;
  std::size_t kernel = 2;
  std::size_t stride = 2;

  std::size_t out_height() const { return (height - kernel) / stride + 1; }
  std::size_t out_width() const { return (width - kernel) / stride + 1; }
  std::size_t in_size() const { return images * height * width; }
  std::size_t out_size() const { return images * out_height() * out_width(); }

  /// Calls visit(output index, input index) for each pixel of each window, windows and pixels in
  /// row-major order.
  template <typename Visit>
  void for_each_pixel(Visit visit) const {
    std::size_t out = 0;
    for (std::size_t n = 0; n < images; ++n)
      for (std::size_t row = 0; row < out_height(); ++row)
        for (std::size_t column = 0; column < out_width(); ++column, ++out)
          for (std::size_t r = 0; r < kernel; ++r)
            for (std::size_t c = 0; c < kernel; ++c)
              visit(out, (n * height + row * stride + r) * width + column * stride + c);
  }
};

/// For each window the index of its first maximum.
template <typename T>
std::vector<std::size_t> first_maxima(const Pool& pool, const std::vector<T>& x) {
  const std::size_t none = x.size();
  std::vector<std::size_t> maxima(pool.out_size(), none);
  pool.for_each_pixel([&](std::size_t out, std::size_t in) {
    if (maxima[out] == none || x[in] > x[maxima[out]]) maxima[out] = in;
  });
  return maxima;
}

template <typename T>
std::vector<T> max_pool(const Pool& pool, const std::vector<T>& x) {
  std::vector<T> y;
  for (const std::size_t in : first_maxima(pool, x)) y.push_back(x[in]);
  return y;
}

template <typename T>
std::vector<T> max_pool_gradient(const Pool& pool, const std::vector<T>& x,
                                 const std::vector<T>& dy) {
  std::vector<T> dx(x.size(), T(0));
  const std::vector<std::size_t> maxima = first_maxima(pool, x);
  for (std::size_t out = 0; out < maxima.size(); ++out) dx[maxima[out]] += dy[out];
  return dx;
}

template <typename T>
std::vector<T> average_pool(const Pool& pool, const std::vector<T>& x) {
  std::vector<T> y(pool.out_size(), T(0));
  const T area = static_cast<T>(pool.kernel * pool.kernel);
  pool.for_each_pixel([&](std::size_t out, std::size_t in) { y[out] += x[in] / area; });
  return y;
}

template <typename T>
std::vector<T> average_pool_gradient(const Pool& pool, const std::vector<T>& dy) {
  std::vector<T> dx(pool.in_size(), T(0));
  const T area = static_cast<T>(pool.kernel * pool.kernel);
  pool.for_each_pixel([&](std::size_t out, std::size_t in) { dx[in] += dy[out] / area; });
  return dx;
}

}  // namespace dovetail::reference
