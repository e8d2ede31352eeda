// Batch norms taken into the weights before them, for a network that is no longer trained.
#pragma once

#include <vector>

#include "model/model.hpp"

namespace dovetail {

/// A network with values for everything that it keeps, as Model::parameters() and statistics().
struct TrainedModel {
  Model model;
  std::vector<Parameter> parameters, statistics;
};

/// The same function with fewer layers: every batch norm directly behind a convolution or a dense
/// layer becomes part of its weight and bias, per output channel worked out in float64 and rounded
/// once (Jacob et al. 2018, arXiv 1712.05877, section 3.2). Other batch norms stay, numbered anew.
/// A network with a quantised layer comes back as it is, since its weights and activations are
/// rounded on a lattice that this would move; so does one without such a batch norm.
/// Throws Error when a value is missing or has another size.
TrainedModel folded(const Model& model, const std::vector<Parameter>& parameters,
                    const std::vector<Parameter>& statistics);

}  // namespace dovetail
