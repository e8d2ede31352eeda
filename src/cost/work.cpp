// Walks a model's layers.
#include "cost/work.hpp"

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

[[noreturn]] void refuse(const Model& model, const char* what) {
  throw UsageError(
      fmt::format("the cost model has no {}, which model {} needs", what, model.name()),
      "Estimate a model of convolutions, dense layers, max-pools, batch norm and ReLU");
}

}  // namespace

const char* to_string(WorkKind kind) {
  switch (kind) {
    case WorkKind::dense:
      return "dense";
    case WorkKind::conv2d:
      return "conv2d";
    case WorkKind::max_pool:
      return "max_pool";
  }
  throw Error("a layer of no kind");
}

std::vector<LayerWork> work_of(const Model& model) {
  std::vector<LayerWork> work;
  const auto add = [&](WorkKind kind, const PlacedLayer& placed) -> LayerWork& {
    LayerWork& layer = work.emplace_back();
    layer.kind = kind;
    layer.name = placed.name;
    layer.in = placed.in;
    layer.out = placed.out;
    layer.first = work.size() == 1;
    return layer;
  };
  const auto expect_linear_before = [&](const char* what) {
    if (work.empty() || work.back().kind == WorkKind::max_pool) refuse(model, what);
  };
  int pools = 0;
  for (const PlacedLayer& placed : model.layers()) {
    std::visit(
        Overloaded{[&](const layer::Conv2d& conv) {
                     LayerWork& layer = add(WorkKind::conv2d, placed);
                     layer.kernel = conv.kernel;
                     layer.stride = conv.stride;
                     layer.padding = conv.padding;
                   },
                   [&](const layer::Dense&) { add(WorkKind::dense, placed); },
                   [&](const layer::MaxPool& pool) {
                     expect_linear_before("max-pool without a linear layer before it");
                     LayerWork& layer = add(WorkKind::max_pool, placed);
                     layer.name = fmt::format("pool{}", ++pools);
                     layer.kernel = pool.kernel;
                     layer.stride = pool.stride;
                   },
                   [&](const layer::Relu&) { expect_linear_before("ReLU on its own"); },
                   [&](const layer::BatchNorm&) { expect_linear_before("batch norm on its own"); },
                   [&](const layer::AveragePool&) { refuse(model, "average pool"); },
                   [](const layer::Dropout&) {}},
        placed.layer);
  }
  if (work.empty() || work.back().kind == WorkKind::max_pool)
    refuse(model, "last layer that isn't linear");
  work.back().last = true;
  return work;
}

}  // namespace dovetail::cost
