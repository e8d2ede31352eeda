// Turns a model into fused operations: which layers join, and how the feature maps between them lie
// in memory.
#pragma once

#include <functional>
#include <vector>

#include "model/model.hpp"
#include "ops/conv2d_pool.hpp"
#include "tensor/layout.hpp"

namespace dovetail::plan {

/// A model layer, perhaps with the ReLU and the max-pool behind it; or the identity that strips a
/// halo before a dense layer.
struct Step {
  std::size_t layer = 0;  // index into Model::layers()
  bool relu = false;
  bool pool = false;
  bool strip_halo = false;
  bool deferred = false;  // a batch norm and its ReLU, done by the convolution behind as it reads
  std::size_t last_layer() const { return layer + (relu ? 1 : 0) + (pool ? 1 : 0); }
};

struct Lowered {
  std::vector<Step> steps;
  std::vector<Layout> layouts;  // steps.size() + 1: layouts[i] is the input of step i
};

/// What is fused beside ReLUs.
struct Fusion {
  /// Whether there are kernels for a convolution and the max-pool behind it in one pass; none: no
  /// pool is fused.
  std::function<bool(const Conv2dPoolShape&)> fits_pool{};
  bool norm_pools = false;  // a batch norm and the max-pool behind it
  /// Whether there are kernels for such a convolution that read its input through the batch norm
  /// and ReLU in front of it; none: no batch norm is deferred.
  std::function<bool(const Conv2dPoolShape&)> reads_norm{};
};

/// Fuses a ReLU into the convolution, dense layer or batch norm before it, unless it is the model's
/// last layer, and gives each feature map the halo that its consumer's padding and its producer's
/// input gradient need. Throws UsageError when the model does not begin with a convolution or a
/// dense layer.
Lowered lower(const Model& model, int batch, const Fusion& fusion = {});

}  // namespace dovetail::plan
