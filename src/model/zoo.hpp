// The models that can be asked for by name.
#pragma once

#include <string>
#include <vector>

#include "model/model.hpp"

namespace dovetail {

std::vector<std::string> model_names();

/// Builds model `name` for images of shape `input` and `classes` classes.
/// mlp: dense 256 – 128 – classes, ReLU between. cnn: (3×3 convolution, ReLU, 2×2 max-pool) with 32
/// and 64 channels, dense 128, ReLU, dense classes. Throws UsageError for an unknown name (naming
/// the known ones) or images that the model cannot take.
Model make_model(const std::string& name, const FeatureShape& input, int classes);

}  // namespace dovetail
