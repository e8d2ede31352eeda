// A trained model put into the terms of the FPGA side: batch norms and ReLUs joined to the
// layers before them, ranges attached.
#pragma once

#include <vector>

#include "model/model.hpp"
#include "plan/plan.hpp"
#include "quant/network.hpp"

namespace dovetail::plan {

/// @param ranges what Plan::output_ranges measured on training samples.
/// Batch norms become gain and offset of the convolution or dense layer before them; dropout falls
/// away. Throws UsageError for what the FPGA kernels do not have: an
/// average pool, a ReLU on its own.
quant::Network fpga_network(const Model& model, const std::vector<Parameter>& parameters,
                            const std::vector<Parameter>& statistics, const InputStatistics& input,
                            const Plan::Ranges& ranges);

}  // namespace dovetail::plan
