// The plain twin of kernels/update.cl: one step of torch.optim.SGD, Adam or AdamW for one
// parameter.
//
// Source: the algorithm boxes of PyTorch's documentation (pytorch.org/docs/stable/optim.html),
// dampening 0, no AMSGrad, minimising. A momentum buffer that starts at zero gives the same steps
// as one that starts as the first gradient.
#pragma once

#include <cmath>

namespace dovetail::reference {

template <typename T>
struct SgdSettings {
  T learning_rate;
  T momentum;
  T weight_decay;
  bool nesterov;
};

template <typename T>
void sgd(T& parameter, T gradient, T& momentum, const SgdSettings<T>& settings) {
  gradient += settings.weight_decay * parameter;
  if (settings.momentum != 0) {
    momentum = settings.momentum * momentum + gradient;
    gradient = settings.nesterov ? gradient + settings.momentum * momentum : momentum;
  }
  parameter -= settings.learning_rate * gradient;
}

template <typename T>
struct AdamSettings {
  T learning_rate;
  T beta1;
  T beta2;
  T epsilon;
  T weight_decay;
  bool decoupled;  // AdamW
};

/// `step` counts from 1.
template <typename T>
void adam(T& parameter, T gradient, T& first_moment, T& second_moment,
          const AdamSettings<T>& settings, int step) {
  if (settings.decoupled) {
    parameter -= settings.learning_rate * settings.weight_decay * parameter;
  } else {
    gradient += settings.weight_decay * parameter;
  }
  first_moment = settings.beta1 * first_moment + (1 - settings.beta1) * gradient;
  second_moment = settings.beta2 * second_moment + (1 - settings.beta2) * gradient * gradient;
  const T first = first_moment / (1 - std::pow(settings.beta1, T(step)));
  const T second = second_moment / (1 - std::pow(settings.beta2, T(step)));
  parameter -= settings.learning_rate * first / (std::sqrt(second) + settings.epsilon);
}

}  // namespace dovetail::reference
