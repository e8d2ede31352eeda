// `dovetail estimate`: what a model would cost on an FPGA card.
#pragma once

#include <string>
#include <vector>

#include "cost/estimate.hpp"
#include "support/json.hpp"

namespace dovetail::app {

struct EstimateOptions {
  std::string model, format, card;
  std::string fold = "auto";          // or PExSIMD: "32x16"
  std::string architecture = "both";  // or engine, pipeline
  std::string input;  // "1x28x28"; empty: of the data set that the model was made for
  int classes = 10;
  int batch = 64;
  int units = engine::layer_units;  // compute units of the engine's layers
};

struct EstimateReport {
  EstimateOptions options;
  std::vector<cost::Estimate> estimates;
  std::string not_built;  // why there is no engine among them, where both were asked for
};

/// Throws UsageError for an unknown or unusable option, or what the model of cost cannot express.
EstimateReport make_estimates(const EstimateOptions& options);

/// Tables for people: per layer, then speeds, with what others measured in a column of its own.
std::string estimate_text(const EstimateReport& report);

/// {"model", "format", "card", "budget", "estimates": [{"architecture", "layers": […], …}]}; speeds
/// are marked "modelled", FINN's "measured_by_others"; "engine_not_built" says why there is none.
Json estimate_json(const EstimateReport& report);

}  // namespace dovetail::app
