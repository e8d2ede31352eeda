// Refuses what cannot be differentiated on the FPGA; the rest is the FPGA's network without ranges.
#include "plan/training_network.hpp"

#include "plan/fpga_network.hpp"
#include "support/error.hpp"

namespace dovetail::plan {
namespace {

[[noreturn]] void refuse(const Model& model, const char* what) {
  throw UsageError(fmt::format("the FPGA's training kernels have no {}, which model {} needs", what,
                               model.name()),
                   "Train it without contributed gradients (no --boost)");
}

}  // namespace

quant::Network training_network(const Model& model, const std::vector<Parameter>& parameters,
                                const InputStatistics& input) {
  for (const PlacedLayer& placed : model.layers()) {
    std::visit(Overloaded{[&](const layer::BatchNorm&) { refuse(model, "batch norm"); },
                          [&](const layer::Dropout&) { refuse(model, "dropout"); },
                          [&](const layer::AveragePool&) { refuse(model, "average pool"); },
                          [&](const layer::MaxPool& pool) {
                            if (pool.kernel != pool.stride)
                              refuse(model, "max-pool with windows that overlap or leave gaps");
                          },
                          [](const auto&) {}},
               placed.layer);
  }
  Plan::Ranges unused;
  unused.layers.resize(model.layers().size());
  return fpga_network(model, parameters, {}, input, unused);
}

}  // namespace dovetail::plan
