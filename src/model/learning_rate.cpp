// Learning-rate schedules.
#include "model/learning_rate.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

const char* to_string(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::constant:
      return "constant";
    case ScheduleKind::step:
      return "step";
    case ScheduleKind::cosine:
      return "cosine";
  }
  return "?";
}

ScheduleKind parse_schedule(const std::string& name) {
  for (const ScheduleKind kind :
       {ScheduleKind::constant, ScheduleKind::step, ScheduleKind::cosine}) {
    if (name == to_string(kind)) return kind;
  }
  throw UsageError(fmt::format("unknown learning-rate schedule '{}'", name),
                   "Known schedules: constant, step, cosine");
}

float LearningRate::at(std::uint64_t step) const {
  if (step < warmup_steps)
    return base * static_cast<float>(step + 1) / static_cast<float>(warmup_steps);
  if (kind == ScheduleKind::constant) return base;
  const std::uint64_t done = step - warmup_steps;
  if (kind == ScheduleKind::step) {
    return base * std::pow(factor, static_cast<float>(done / std::max<std::uint64_t>(interval, 1)));
  }
  const std::uint64_t length =
      std::max<std::uint64_t>(total_steps > warmup_steps ? total_steps - warmup_steps : 1, 1);
  const double progress = std::min(1.0, static_cast<double>(done) / static_cast<double>(length));
  return static_cast<float>(0.5 * base * (1 + std::cos(std::numbers::pi * progress)));
}

}  // namespace dovetail
