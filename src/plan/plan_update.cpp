// Updates, and the loss scale that they take out of the gradients.
#include <array>
#include <bit>
#include <utility>

#include "model/loss_scale.hpp"
#include "plan/plan.hpp"
#include "support/error.hpp"
#include "support/timeline.hpp"

namespace dovetail {

void Plan::set_loss_scale(float scale, std::uint64_t steps) {
  loss_scale_ = scale;
  for (opencl::Buffer& each : scales_)
    if (!each) each = device_.allocate(Update::scale_bytes);
  const std::array words{std::bit_cast<std::uint32_t>(scale), static_cast<std::uint32_t>(steps)};
  static_assert(sizeof words == Update::scale_bytes);
  device_.write(scales_[0], words.data(), sizeof words);
}

void Plan::enqueue_update(float learning_rate, const StepStatistics& statistics, std::uint64_t step,
                          const opencl::Buffer& record) {
  const double scale = 1 / (statistics.samples * static_cast<double>(loss_scale_));
  enqueue_update(learning_rate, static_cast<float>(scale), step, {.record = record});
}

void Plan::enqueue_scaled_update(float learning_rate, const StepStatistics& statistics,
                                 std::uint64_t step, const opencl::Buffer& record) {
  if (!scales_[0]) throw Error("a scaled update without a loss scale");
  enqueue_update(learning_rate, static_cast<float>(1 / statistics.samples), step,
                 {.record = record,
                  .scale = scales_[0],
                  .next_scale = scales_[1],
                  .largest_scale = LossScale::largest,
                  .patience = std::uint32_t{LossScale::patience}});
  std::swap(scales_[0], scales_[1]);
}

void Plan::enqueue_update(float learning_rate, float gradient_scale, std::uint64_t step,
                          const BesideUpdate& beside) {
  const timeline::Part part("update");
  const OptimizerSettings& optimizer = options_.optimizer;
  const opencl::Buffer& gradients = beside.record ? reduction_ : gradients_;
  if (optimizer.kind == OptimizerKind::sgd) {
    update_->sgd(parameters_, gradients, state_[0],
                 {.learning_rate = learning_rate,
                  .momentum = optimizer.momentum,
                  .weight_decay = optimizer.weight_decay,
                  .nesterov = optimizer.nesterov},
                 gradient_scale, beside);
  } else {
    update_->adam(parameters_, gradients, state_[0], state_[1],
                  {.learning_rate = learning_rate,
                   .beta1 = optimizer.beta1,
                   .beta2 = optimizer.beta2,
                   .epsilon = optimizer.epsilon,
                   .weight_decay = optimizer.weight_decay,
                   .decoupled = optimizer.kind == OptimizerKind::adamw},
                  gradient_scale, step, beside);
  }
  device_.flush();
}

}  // namespace dovetail
