// The twin of Matmul: the definition written out, on canonical arrays.
#pragma once

#include <cstddef>
#include <vector>

namespace dovetail::reference {

/// x [rows, in], weight [out, in] (as PyTorch keeps it), bias [out], y [rows, out].
struct MatmulExtents {
  std::size_t rows, in, out;
};

/// y = x · weightᵀ + bias, then max(0, ·) when `relu`.
template <typename T>
std::vector<T> matmul(const MatmulExtents& e, const std::vector<T>& x, const std::vector<T>& weight,
                      const std::vector<T>& bias, bool relu) {
  std::vector<T> y(e.rows * e.out);
  for (std::size_t r = 0; r < e.rows; ++r) {
    for (std::size_t o = 0; o < e.out; ++o) {
      T sum = bias[o];
      for (std::size_t i = 0; i < e.in; ++i) sum += x[r * e.in + i] * weight[o * e.in + i];
      y[r * e.out + o] = relu && sum < T(0) ? T(0) : sum;
    }
  }
  return y;
}

/// dx = dy · weight; with `mask`, 0 where x ≤ 0.
template <typename T>
std::vector<T> matmul_input_gradient(const MatmulExtents& e, const std::vector<T>& dy,
                                     const std::vector<T>& weight, const std::vector<T>& x,
                                     bool mask) {
  std::vector<T> dx(e.rows * e.in);
  for (std::size_t r = 0; r < e.rows; ++r) {
    for (std::size_t i = 0; i < e.in; ++i) {
      T sum = 0;
      for (std::size_t o = 0; o < e.out; ++o) sum += dy[r * e.out + o] * weight[o * e.in + i];
      dx[r * e.in + i] = mask && x[r * e.in + i] <= T(0) ? T(0) : sum;
    }
  }
  return dx;
}

template <typename T>
std::vector<T> matmul_weight_gradient(const MatmulExtents& e, const std::vector<T>& x,
                                      const std::vector<T>& dy) {
  std::vector<T> dweight(e.out * e.in);
  for (std::size_t r = 0; r < e.rows; ++r) {
    for (std::size_t o = 0; o < e.out; ++o) {
      for (std::size_t i = 0; i < e.in; ++i)
        dweight[o * e.in + i] += dy[r * e.out + o] * x[r * e.in + i];
    }
  }
  return dweight;
}

template <typename T>
std::vector<T> matmul_bias_gradient(const MatmulExtents& e, const std::vector<T>& dy) {
  std::vector<T> dbias(e.out);
  for (std::size_t i = 0; i < dy.size(); ++i) dbias[i % e.out] += dy[i];
  return dbias;
}

}  // namespace dovetail::reference
