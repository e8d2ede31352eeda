// The learning rate as a function of the step.
#pragma once

#include <cstdint>
#include <string>

namespace dovetail {

enum class ScheduleKind { constant, step, cosine };

const char* to_string(ScheduleKind kind);
/// Throws UsageError for an unknown name.
ScheduleKind parse_schedule(const std::string& name);

/// constant: base. step: base · factor^⌊step / interval⌋. cosine: from base to 0 over the training
/// (Loshchilov and Hutter, 2017, without restarts). All after a linear warm-up from base /
/// warmup_steps to base.
struct LearningRate {
  ScheduleKind kind = ScheduleKind::cosine;
  float base = 0.05f;
  std::uint64_t warmup_steps = 0;
  std::uint64_t total_steps = 1;
  std::uint64_t interval = 1;  // step schedule: optimiser steps between two drops
  float factor = 0.1f;

  /// @param step optimiser steps done before this one, from 0.
  float at(std::uint64_t step) const;
};

}  // namespace dovetail
