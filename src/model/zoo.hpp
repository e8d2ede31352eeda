// The models that can be asked for by name.
#pragma once

#include <string>
#include <vector>

#include "model/model.hpp"

namespace dovetail {

std::vector<std::string> model_names();

/// Builds model `name` for images of shape `input` and `classes` classes.
///   mlp        dense 256 – 128 – classes, ReLU between
///   cnn        (3×3 convolution, ReLU, 2×2 max-pool) with 32 and 64 channels, dense 128, ReLU,
///   dense sfc, lfc   FINN's: (dense, batch norm, ReLU) × 3 with 256 and 1024 units, dense cnv
///   FINN's for 3×32×32: (3×3 valid convolution, batch norm, ReLU) × 2 with 64, 128 and
///              256 channels, 2×2 max-pools between; (dense 512, batch norm, ReLU) × 2, dense
///   vgg-small  (3×3 same convolution, batch norm, ReLU) × 2 and a 2×2 max-pool with 64, 128 and
///              256 channels; dense 512, ReLU, dense
/// Layers before a batch norm have no bias. Throws UsageError for an unknown name (naming the known
/// ones) or images that the model cannot take.
Model make_model(const std::string& name, const FeatureShape& input, int classes);

}  // namespace dovetail
