// `dovetail bench infer` on an FPGA card, real or emulated.
#pragma once

#include <string>

#include "app/placement_options.hpp"
#include "comm/placement.hpp"
#include "model/model.hpp"
#include "support/json.hpp"

namespace dovetail::app {

struct CardBenchmark {
  std::string model, format;
  int batch = 128;
  double seconds = 5;
};

/// What was measured, for people and for programs. The JSON: {"benchmark", "device", "backend":
/// "emulated" or "card", "model", "format", "batch", "timing", "samples_per_second", "host_timing",
/// "samples_per_core_second"}; the host times are those of all threads of this process, which on an
/// emulated card are the kernels'.
struct CardReport {
  std::string text;
  Json json;
};

/// Random images and weights through host memory, the card, and back: logits of `batch` images a
/// call. Throws UsageError for a format or a model that the FPGA kernels do not have.
CardReport bench_card(const Model& model, const CardBenchmark& benchmark,
                      const RankPlacement& placement, const PlacementOptions& options);

}  // namespace dovetail::app
