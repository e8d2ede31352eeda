// Names of optimisers and losses.
#include "model/optimizer.hpp"

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

const char* to_string(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::sgd:
      return "sgd";
    case OptimizerKind::adam:
      return "adam";
    case OptimizerKind::adamw:
      return "adamw";
  }
  return "?";
}

OptimizerKind parse_optimizer(const std::string& name) {
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw}) {
    if (name == to_string(kind)) return kind;
  }
  throw UsageError(fmt::format("unknown optimiser '{}'", name),
                   "Known optimisers: sgd, adam, adamw");
}

const char* to_string(LossKind kind) {
  return kind == LossKind::cross_entropy ? "cross-entropy" : "mse";
}

LossKind parse_loss(const std::string& name) {
  for (const LossKind kind : {LossKind::cross_entropy, LossKind::mean_squared_error}) {
    if (name == to_string(kind)) return kind;
  }
  throw UsageError(fmt::format("unknown loss '{}'", name), "Known losses: cross-entropy, mse");
}

}  // namespace dovetail
