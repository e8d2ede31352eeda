// Random data and small models for the tests of plans.
#pragma once

#include <cstdint>
#include <vector>

#include "device/test_device.hpp"
#include "model/model.hpp"
#include "plan/plan.hpp"
#include "support/random.hpp"

namespace dovetail::testing {

struct RandomBatch {
  std::vector<std::uint8_t> images;
  std::vector<std::int32_t> labels;
};

inline RandomBatch random_batch(const Model& model, std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  RandomBatch batch;
  batch.images.resize(count * static_cast<std::size_t>(model.input().size()));
  for (auto& pixel : batch.images) pixel = static_cast<std::uint8_t>(random.next() >> 56);
  for (std::size_t i = 0; i < count; ++i) {
    batch.labels.push_back(
        static_cast<std::int32_t>(random.next() % static_cast<std::uint64_t>(model.classes())));
  }
  return batch;
}

inline InputStatistics statistics_for(const Model& model) {
  const auto channels = static_cast<std::size_t>(model.input().channels);
  InputStatistics statistics{std::vector<float>(channels, 0.45f),
                             std::vector<float>(channels, 0.3f)};
  statistics.mean.back() = 0.5f;
  return statistics;
}

/// With the parameters that its model begins with.
inline Plan started_plan(const Model& model, const PlanOptions& options) {
  Plan plan(test_device(), model, statistics_for(model), options);
  plan.load_parameters(model.initial_parameters(1));
  return plan;
}

/// Such a one, with momentum and augmentation.
struct TrainingPlan {
  int batch = 8, passes = 1;
  LossKind loss = LossKind::cross_entropy;
  UploadWay upload_way = UploadWay::in_turn;
};
inline Plan training_plan(const Model& model, const TrainingPlan& of) {
  return started_plan(model, {.batch = of.batch,
                              .passes = of.passes,
                              .training = true,
                              .loss = of.loss,
                              .optimizer = {.kind = OptimizerKind::sgd, .momentum = 0.9f},
                              .seed = 5,
                              .augmentation = {.crop = 2, .flip = true},
                              .upload_way = of.upload_way});
}

/// Every kind of layer but dropout, with odd sizes, strides and paddings.
inline Model mixed_model() {
  return Model("mixed", {3, 13, 11},
               {layer::Conv2d{.out = 20, .kernel = 3, .padding = 1}, layer::BatchNorm{},
                layer::Relu{}, layer::MaxPool{.kernel = 2, .stride = 2},
                layer::Conv2d{.out = 8, .kernel = 3, .stride = 2, .padding = 1}, layer::Relu{},
                layer::Conv2d{.out = 17, .kernel = 3, .padding = 1}, layer::Relu{},
                layer::AveragePool{.kernel = 2, .stride = 1}, layer::Conv2d{.out = 6, .kernel = 1},
                layer::Dense{.out = 12}, layer::Relu{}, layer::Dense{.out = 5}});
}

inline Model small_cnn() {
  return Model("small", {1, 12, 12},
               {layer::Conv2d{.out = 8, .padding = 1}, layer::Relu{}, layer::MaxPool{},
                layer::Conv2d{.out = 16, .padding = 1}, layer::Relu{}, layer::MaxPool{},
                layer::Dense{.out = 24}, layer::Relu{}, layer::Dense{.out = 10}});
}

/// Max-pools behind convolutions, with and without a ReLU between: windows that touch, of two
/// sizes, leave edges over; others overlap.
inline Model pooled_model() {
  return Model("pooled", {3, 19, 17},
               {layer::Conv2d{.out = 18, .padding = 1}, layer::Relu{}, layer::MaxPool{},
                layer::Conv2d{.out = 9, .kernel = 2, .padding = 1}, layer::MaxPool{},
                layer::Conv2d{.out = 20, .stride = 1, .padding = 1}, layer::Relu{},
                layer::MaxPool{.kernel = 3, .stride = 1}, layer::Conv2d{.out = 16, .padding = 2},
                layer::Relu{}, layer::MaxPool{.kernel = 3, .stride = 3},
                layer::Dropout{.probability = 0}, layer::Dense{.out = 5}});
}

/// Batch norms on vectors and on maps, behind layers without bias.
inline Model normalised_model() {
  return Model("normalised", {2, 8, 7},
               {layer::Conv2d{.out = 9, .bias = false}, layer::BatchNorm{}, layer::Relu{},
                layer::MaxPool{}, layer::Dense{.out = 20, .bias = false}, layer::BatchNorm{},
                layer::Relu{}, layer::Dense{.out = 18, .bias = false}, layer::BatchNorm{},
                layer::Relu{}, layer::Dense{.out = 4}});
}

/// Batch norms between convolutions, as vgg-small has them, and others that no convolution follows.
inline Model block_model() {
  return Model("blocks", {3, 10, 9},
               {layer::Conv2d{.out = 12, .padding = 1, .bias = false}, layer::BatchNorm{},
                layer::Relu{}, layer::Conv2d{.out = 20, .padding = 1}, layer::BatchNorm{},
                layer::Relu{}, layer::Conv2d{.out = 16, .stride = 2, .padding = 2},
                layer::BatchNorm{}, layer::Relu{}, layer::Conv2d{.out = 8, .kernel = 2},
                layer::BatchNorm{}, layer::Relu{}, layer::AveragePool{}, layer::Dense{.out = 6}});
}

/// Convolutions and dense layers, with and without batch norms, padding and stride. No max-pool:
/// over quantised values it often has to choose among equals.
inline Model convolutional_model() {
  return Model("convolutional", {2, 10, 9},
               {layer::Conv2d{.out = 9, .padding = 1, .bias = false}, layer::BatchNorm{},
                layer::Relu{}, layer::Conv2d{.out = 17, .stride = 2}, layer::Relu{},
                layer::AveragePool{.kernel = 2, .stride = 1},
                layer::Dense{.out = 20, .bias = false}, layer::BatchNorm{}, layer::Relu{},
                layer::Dense{.out = 12}, layer::Relu{}, layer::Dense{.out = 4}});
}

}  // namespace dovetail::testing
