// What each layer of a model asks of an FPGA: a matrix, how many vectors meet it, and the feature
// maps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model.hpp"

namespace dovetail::cost {

enum class WorkKind { dense, conv2d, max_pool };

const char* to_string(WorkKind kind);

/// One unit's work for one image. Batch norm and ReLU belong to the activation of the layer before
/// them.
struct LayerWork {
  WorkKind kind = WorkKind::dense;
  std::string name;
  FeatureShape in, out;
  int kernel = 1, stride = 1, padding = 0;
  bool first = false;  // reads the network's input
  bool last = false;   // leaves raw accumulators

  int columns() const {
    return kind == WorkKind::dense ? in.size() : in.channels * kernel * kernel;
  }
  int rows() const { return out.channels; }
  int vectors() const { return out.height * out.width; }
};

/// Throws UsageError for a layer that the FPGA's units do not have: an average pool, a batch norm
/// or a ReLU with no linear layer before it, or a last layer that isn't linear.
std::vector<LayerWork> work_of(const Model& model);

}  // namespace dovetail::cost
