// A checkpoint: everything that training needs to go on as if it had never stopped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/loss_scale.hpp"
#include "model/model.hpp"
#include "model/optimizer.hpp"
#include "plan/plan.hpp"
#include "tensor/tensor.hpp"

namespace dovetail {

/// What compressed sums have lost and still have to make up for (AllReduce::gather_feedback()).
struct CompressionErrors {
  std::string compression;
  std::uint64_t groups = 0;
  std::vector<float> values;  // [groups, elements]
};

struct Checkpoint {
  std::string model;
  std::optional<Quantisation> quantisation{};  // where training was aware of it
  FeatureShape input;
  int classes = 0;
  InputStatistics input_statistics;
  std::vector<Parameter> parameters;  // canonical layouts, /parameters/<layer>.<weight|bias>
  std::vector<Parameter> statistics;  // as Model::statistics()
  OptimizerKind optimizer = OptimizerKind::sgd;
  std::vector<std::vector<Parameter>> optimizer_state;
  std::uint64_t epoch = 0;                // epochs done, validation included
  std::uint64_t step = 0;                 // optimiser steps done
  std::uint64_t steps_per_epoch = 0;      // 0 in files that know of whole epochs alone
  StepStatistics epoch_sums;              // of the steps done in the epoch under way
  std::optional<double> test_accuracy{};  // of these weights in float32, where it was measured
  std::uint64_t seed = 0;
  std::uint64_t batch = 0;   // global
  std::uint64_t chunks = 0;  // that it was cut into, whatever the number of ranks; 0: one a rank
  std::vector<std::uint64_t> shares{};  // of a whole step's samples, by GPU rank; empty: even
  LossKind loss = LossKind::cross_entropy;
  std::string train_set_sha256;           // train_set_identity() of the data set
  std::string recipe;                     // how the optimiser was driven, for people; may be empty
  std::optional<LossScale> loss_scale{};  // where training had one; without its count of skipped
  std::optional<CompressionErrors> compression_errors{};  // where sums were compressed
  std::vector<float>
      calibration;  // Plan::Ranges: the input's, then one a layer; empty when never calibrated
  std::vector<std::int64_t> histograms;  // [layers, Histogram::bins], or none
};

/// The model that it is a checkpoint of. Throws UsageError for an unknown name or format.
Model model_of(const Checkpoint& checkpoint);

/// SHA-256 of the float32 parameters in canonical order.
std::string weights_sha256(const std::vector<Parameter>& parameters);

/// Writes aside, syncs, reads back, compares and renames: a crash, a full disk or a broken one
/// leaves the checkpoint that was there. Throws Error.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Reads and verifies. Throws Error naming the file when it is missing, truncated, corrupt, or not
/// a checkpoint.
Checkpoint load_checkpoint(const std::filesystem::path& path);
/// The same for those who know another remedy than the person: the Error names none.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// Throws UsageError when the checkpoint is not of this model.
void expect_model(const Checkpoint& checkpoint, const Model& model,
                  const std::filesystem::path& path);

}  // namespace dovetail
