// A plan's gradient, for tests.
#pragma once

#include <vector>

#include "plan/fixture.hpp"
#include "plan/plan.hpp"

namespace dovetail::testing {

/// The gradient in canonical layout, by way of a step of plain SGD with learning rate 1.
inline std::vector<Parameter> gradient_of(Plan& plan, const RandomBatch& batch,
                                          const std::vector<Parameter>& start) {
  plan.load_parameters(start);
  plan.enqueue_gradients(batch.images, batch.labels, 0);
  StepStatistics statistics;
  {
    const opencl::Mapping mapping = plan.map_reduction();
    statistics = plan.step_statistics(mapping.as<float>());
  }
  plan.enqueue_update(1.0f, statistics, 1);
  std::vector<Parameter> gradient = plan.parameters();
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    for (std::size_t j = 0; j < gradient[i].value.size(); ++j) {
      gradient[i].value.values[j] = start[i].value.values[j] - gradient[i].value.values[j];
    }
  }
  return gradient;
}

}  // namespace dovetail::testing
