// A model put into the terms of the FPGA's training kernels.
#pragma once

#include <vector>

#include "model/model.hpp"
#include "plan/plan.hpp"
#include "quant/network.hpp"

namespace dovetail::plan {

/// What quant::pack_training takes. Throws UsageError for layers whose gradient the training
/// kernels do not have: batch norm, dropout, average pools, pools whose windows overlap, a ReLU on
/// its own.
quant::Network training_network(const Model& model, const std::vector<Parameter>& parameters,
                                const InputStatistics& input);

}  // namespace dovetail::plan
