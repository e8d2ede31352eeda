// What an optimiser does with a gradient, as settings; ops/update.hpp has the arithmetic.
#pragma once

#include <string>

namespace dovetail {

enum class OptimizerKind { sgd, adam, adamw };

/// Formulas and defaults of torch.optim.SGD, Adam and AdamW.
struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::sgd;
  float momentum = 0.9f;
  bool nesterov = false;
  float weight_decay = 0;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;

  /// How many values the optimiser keeps for each parameter.
  int state_slots() const { return kind == OptimizerKind::sgd ? 1 : 2; }
};

const char* to_string(OptimizerKind kind);
/// Throws UsageError for an unknown name.
OptimizerKind parse_optimizer(const std::string& name);

enum class LossKind { cross_entropy, mean_squared_error };

const char* to_string(LossKind kind);
LossKind parse_loss(const std::string& name);

}  // namespace dovetail
