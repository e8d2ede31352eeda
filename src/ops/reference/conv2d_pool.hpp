// The twin of Conv2dPool: the twins of the convolution and of the max-pool, one behind the other.
#pragma once

#include "ops/reference/conv2d.hpp"
#include "ops/reference/pool2d.hpp"

namespace dovetail::reference {

/// The pool on the convolution's output.
inline Pool pool_behind(const Conv2dExtents& e, int pool) {
  return {.images = static_cast<std::size_t>(e.batch * e.out),
          .height = static_cast<std::size_t>(e.out_height()),
          .width = static_cast<std::size_t>(e.out_width()),
          .kernel = static_cast<std::size_t>(pool),
          .stride = static_cast<std::size_t>(pool)};
}

template <typename T>
std::vector<T> conv2d_max_pool(const Conv2dExtents& e, int pool, const std::vector<T>& x,
                               const std::vector<T>& weight, const std::vector<T>& bias,
                               bool relu) {
  return max_pool(pool_behind(e, pool), conv2d(e, x, weight, bias, relu));
}

/// The gradient of the convolution's linear part, from that of the pooled map: 0 but at the first
/// maximum of each window, and there, with `relu`, where it is ≤ 0. `y` is the convolution's
/// output.
template <typename T>
std::vector<T> conv2d_max_pool_gradient(const Conv2dExtents& e, int pool, const std::vector<T>& y,
                                        const std::vector<T>& dy, bool relu) {
  std::vector<T> gradient = max_pool_gradient(pool_behind(e, pool), y, dy);
  for (std::size_t i = 0; relu && i < gradient.size(); ++i) {
    if (y[i] <= T(0)) gradient[i] = T(0);
  }
  return gradient;
}

}  // namespace dovetail::reference
