// Gradients by central differences in float64, to check the twins' gradients.
#pragma once

#include <cstddef>
#include <vector>

namespace dovetail::testing {

/// The gradient at x of the sum over i of weights[i] · f(x)[i].
template <typename Function>
std::vector<double> finite_differences(Function f, std::vector<double> x,
                                       const std::vector<double>& weights, double step = 1e-5) {
  const auto weighted_sum = [&] {
    const std::vector<double> y = f(x);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += weights.at(i) * y[i];
    return sum;
  };
  std::vector<double> gradient;
  for (double& value : x) {
    const double centre = value;
    value = centre + step;
    const double above = weighted_sum();
    value = centre - step;
    const double below = weighted_sum();
    value = centre;
    gradient.push_back((above - below) / (2 * step));
  }
  return gradient;
}

}  // namespace dovetail::testing
