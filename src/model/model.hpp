// A feed-forward network: named layers with their shapes, and its learned parameters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/layer.hpp"
#include "model/quantisation.hpp"
#include "tensor/tensor.hpp"

namespace dovetail {

/// A layer in its place. `name` is "conv1", "dense2" … for layers with parameters, else "" .
struct PlacedLayer {
  std::string name;
  Layer layer;
  FeatureShape in;
  FeatureShape out;
};

/// One learned tensor, or one that is kept but not learned, before it has values.
struct ParameterSpec {
  std::string name;         // "conv1.weight"
  Shape shape;              // [out, in, kh, kw], [out, in] or [channels]
  std::size_t layer = 0;    // index into Model::layers()
  float initial_bound = 0;  // uniform in [−bound, bound) …
  float initial_value = 0;  // … around this value
};

class Model {
 public:
  /// Places the layers one after the other on feature maps of shape `input`.
  /// Throws UsageError when a layer does not fit its input ("the data set's images are too small
  /// for …").
  Model(std::string name, FeatureShape input, const std::vector<Layer>& layers);

  /// The same network for quantisation-aware training: weights of convolutions and dense layers
  /// are rounded to the format's, ReLUs become its activations, and the input is rounded to int8.
  /// Names and shapes of the parameters stay. Throws UsageError for a format without such laws.
  Model quantised(const Quantisation& quantisation) const;
  /// What `quantised` was given, if anything.
  const std::optional<Quantisation>& quantisation() const { return quantisation_; }

  const std::string& name() const { return name_; }
  const FeatureShape& input() const { return input_; }
  int classes() const { return layers_.back().out.size(); }
  const std::vector<PlacedLayer>& layers() const { return layers_; }

  /// Learned parameters in the layers' order, weight before bias.
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }
  /// Running mean and variance of the batch norms, and fixed steps of activations: kept, not
  /// learned.
  const std::vector<ParameterSpec>& statistics() const { return statistics_; }
  std::size_t parameter_count() const;

  /// Fresh values: weights and biases uniform in ±1/√fan_in (PyTorch's default for Conv2d and
  /// Linear), batch norm's weight 1 and bias 0. The same seed gives the same bits everywhere.
  std::vector<Parameter> initial_parameters(std::uint64_t seed) const;
  std::vector<Parameter> initial_statistics() const;

 private:
  void place(const Layer& layer);
  std::string next_name(const char* kind);

  std::string name_;
  FeatureShape input_;
  std::optional<Quantisation> quantisation_;
  std::vector<PlacedLayer> layers_;
  std::vector<ParameterSpec> parameters_;
  std::vector<ParameterSpec> statistics_;
};

}  // namespace dovetail
