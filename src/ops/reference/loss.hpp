// The plain twin of kernels/loss.cl.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dovetail::reference {

/// The sums over a batch, and the gradient of `loss` [batch, columns].
template <typename T>
struct LossSums {
  T loss = 0;
  std::size_t hits = 0;  // samples whose largest logit, the first of equals, is the label's
  std::vector<T> gradient;
};

/// logits [labels.size(), classes].
template <typename T>
LossSums<T> softmax_cross_entropy(const std::vector<T>& logits,
                                  const std::vector<std::int32_t>& labels) {
  const std::size_t classes = logits.size() / labels.size();
  LossSums<T> sums{.gradient = std::vector<T>(logits.size())};
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const T* row = logits.data() + n * classes;
    const auto label = static_cast<std::size_t>(labels[n]);
    const T* largest = std::max_element(row, row + classes);
    T sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(row[c] - *largest);
    sums.loss += std::log(sum) + *largest - row[label];
    sums.hits += largest == row + label ? 1 : 0;
    for (std::size_t c = 0; c < classes; ++c) {
      sums.gradient[n * classes + c] =
          std::exp(row[c] - *largest) / sum - (c == label ? T(1) : T(0));
    }
  }
  return sums;
}

/// values [labels.size(), columns]: the sum over samples of the mean over the columns of the
/// squared difference from 1 in the label's column and 0 in the others.
template <typename T>
LossSums<T> mean_squared_error(const std::vector<T>& values,
                               const std::vector<std::int32_t>& labels) {
  const std::size_t columns = values.size() / labels.size();
  LossSums<T> sums{.gradient = std::vector<T>(values.size())};
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const T* row = values.data() + n * columns;
    const auto label = static_cast<std::size_t>(labels[n]);
    sums.hits += std::max_element(row, row + columns) == row + label ? 1 : 0;
    for (std::size_t c = 0; c < columns; ++c) {
      const T difference = row[c] - (c == label ? T(1) : T(0));
      sums.loss += difference * difference / static_cast<T>(columns);
      sums.gradient[n * columns + c] = 2 * difference / static_cast<T>(columns);
    }
  }
  return sums;
}

}  // namespace dovetail::reference
