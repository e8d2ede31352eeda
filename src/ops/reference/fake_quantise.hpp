// The plain twin of kernels/fake_quantise.cl.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "ops/quantisation_law.hpp"

namespace dovetail::reference {

/// The step of each output channel of weight [outputs, columns].
template <typename T>
std::vector<T> weight_steps(const WeightLaw& law, const std::vector<T>& weight,
                            std::size_t outputs) {
  const std::size_t columns = weight.size() / outputs;
  std::vector<T> steps;
  for (std::size_t o = 0; o < outputs; ++o) {
    T sum = 0, largest = 0;
    for (std::size_t i = o * columns; i < (o + 1) * columns; ++i) {
      sum += std::abs(weight[i]);
      largest = std::max(largest, std::abs(weight[i]));
    }
    steps.push_back(static_cast<T>(law.factor) *
                    (law.of_largest ? largest : sum / static_cast<T>(columns)));
  }
  return steps;
}

/// step · code for each weight; a channel of zeros stays one.
template <typename T>
std::vector<T> quantise_weights(const WeightLaw& law, const std::vector<T>& weight,
                                const std::vector<T>& steps) {
  const std::size_t columns = weight.size() / steps.size();
  std::vector<T> quantised(weight.size());
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const T step = steps[i / columns];
    if (step == 0) continue;
    const T code = law.binary ? (weight[i] < 0 ? T(-1) : T(1))
                              : std::clamp(std::round(weight[i] / step), static_cast<T>(law.lowest),
                                           static_cast<T>(law.highest));
    quantised[i] = step * code;
  }
  return quantised;
}

/// The gradient of the weights from that of the quantised ones. Straight through (Bengio et al.
/// 2013), clipped: 0 for a weight that is beyond the codes by more than one half, and for a binary
/// one beyond ±1 (Courbariaux et al. 2016, section 1.3).
template <typename T>
std::vector<T> weight_gradient(const WeightLaw& law, const std::vector<T>& weight,
                               const std::vector<T>& steps, std::vector<T> gradient) {
  const std::size_t columns = weight.size() / steps.size();
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const T step = steps[i / columns];
    const T low = law.binary ? T(-1) : (static_cast<T>(law.lowest) - T(0.5)) * step;
    const T high = law.binary ? T(1) : (static_cast<T>(law.highest) + T(0.5)) * step;
    if (weight[i] < low || weight[i] > high) gradient[i] = 0;
  }
  return gradient;
}

/// `step` is not looked at where the law is binary.
template <typename T>
std::vector<T> quantise_activations(const ActivationLaw& law, std::vector<T> x, T step) {
  for (T& value : x) {
    value = law.binary
                ? (value < 0 ? T(-1) : T(1))
                : step * std::clamp(std::round(value / step), T(0), static_cast<T>(law.highest));
  }
  return x;
}

/// dx straight through where 0 < x < highest · step (binary: |x| ≤ 1, the hard tanh's), else 0.
template <typename T>
std::vector<T> activation_gradient(const ActivationLaw& law, const std::vector<T>& x, T step,
                                   std::vector<T> dy) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool inside = law.binary ? std::abs(x[i]) <= 1
                                   : x[i] / step > 0 && x[i] / step < static_cast<T>(law.highest);
    if (!inside) dy[i] = 0;
  }
  return dy;
}

/// The gradient of a learned step, before the paper's gradient scale (Esser et al. 2020, "Learned
/// step size quantization", arXiv 1902.08153, equation 3).
template <typename T>
T step_gradient(const ActivationLaw& law, const std::vector<T>& x, T step,
                const std::vector<T>& dy) {
  T sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T v = x[i] / step;
    if (v >= static_cast<T>(law.highest)) {
      sum += dy[i] * static_cast<T>(law.highest);
    } else if (v > 0) {
      sum += dy[i] * (std::round(v) - v);
    }
  }
  return sum;
}

}  // namespace dovetail::reference
