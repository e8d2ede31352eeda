// Networks with batch norms that do something, for the tests of what becomes of these.
#pragma once

#include <cstdint>
#include <string>

#include "model/folded.hpp"
#include "support/random.hpp"

namespace dovetail::testing {

/// Initial weights and biases; batch norms scale, also to the negative, shift, and have seen means
/// and variances of 0.01 to 2.
inline TrainedModel with_random_norms(const Model& model, std::uint64_t seed) {
  TrainedModel net{model, model.initial_parameters(seed), model.initial_statistics()};
  SplitMix64 random(seed + 1);
  const auto draw = [&](Parameter& parameter, float low, float high) {
    for (float& value : parameter.value.values) value = random.uniform(low, high);
  };
  for (Parameter& parameter : net.parameters) {
    if (!parameter.name.starts_with("norm")) continue;
    const bool gain = parameter.name.ends_with(".weight");
    draw(parameter, gain ? -0.5f : -0.3f, gain ? 1.5f : 0.3f);
  }
  for (Parameter& parameter : net.statistics) {
    if (parameter.name.ends_with(".running_mean")) draw(parameter, -0.3f, 0.3f);
    if (parameter.name.ends_with(".running_var")) draw(parameter, 0.01f, 2);
  }
  return net;
}

}  // namespace dovetail::testing
