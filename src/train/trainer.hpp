// The GPU ranks' loop: data-parallel training, validation, checkpoints and published weight packs.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "device/opencl/device.hpp"
#include "model/learning_rate.hpp"
#include "model/loss_scale.hpp"
#include "model/model.hpp"
#include "model/optimizer.hpp"
#include "plan/plan.hpp"
#include "shards/shard_reader.hpp"
#include "train/boost_arrivals.hpp"
#include "train/boost_contribution.hpp"
#include "train/boost_settings.hpp"
#include "train/checkpoint.hpp"
#include "train/phases.hpp"
#include "train/publisher.hpp"
#include "train/run_log.hpp"
#include "train/sample_feed.hpp"

namespace dovetail {

struct TrainSettings {
  std::filesystem::path data;
  std::filesystem::path out;
  std::string model = "cnn";
  std::optional<Quantisation> quantisation{};  // train aware of it
  int epochs = 3;
  int batch = 128;  // global: over all GPU ranks
  OptimizerSettings optimizer;
  LearningRate learning_rate;  // its total_steps is set from the data set
  double warmup_epochs = 0;
  double step_epochs = 1;  // interval of the step schedule
  LossKind loss = LossKind::cross_entropy;
  std::uint64_t seed = 1;
  std::vector<std::string> fpga_formats{"int8"};  // every epoch's weights are scored in each
  double within_points = 1;  // of the float32 accuracy: the summary names the smallest such format
  BoostSettings boost;
  ComputeFormat format = ComputeFormat::float32;  // of the operands of products
  bool resume = false;
};

/// What the lead rank knows when training has ended.
struct TrainResult {
  double test_accuracy = 0;  // float32, of the last epoch
  double test_cross_entropy = 0;
  double train_loss =
      std::nan("");  // mean over the last epoch; none where nothing was left to train
  int epochs = 0;
  std::uint64_t steps = 0;
  double training_s = 0;  // steps alone, without validation and checkpoints
  std::uint64_t trained_samples = 0;
  std::string weights_sha256;
  std::vector<quant::Evaluation> evaluations;  // by the FPGA ranks, oldest version first
  std::vector<std::uint64_t> pack_bytes;       // of a weight pack, by format
  BoostCounters boost;
  std::optional<double> boost_cosine, boost_norm_ratio, boost_weight;  // as measured
  std::vector<std::string> retired;  // FPGA ranks, each with the reason
  bool emulates_format = false;      // operands are rounded by passes of their own
  std::uint64_t skipped_steps = 0;   // whose gradients left fp16's range
  Json kernels = Json::object();     // chosen by measurement, by product
};

/// The steps of a training, which FPGA ranks that boost it must know as well.
StepSchedule step_schedule(const TrainSettings& settings, std::uint64_t train_samples);
/// @param first_step that this job trains.
BoostTiming boost_timing(const TrainSettings& settings, const StepSchedule& schedule,
                         std::uint64_t first_step);

/// Mean and standard deviation as a data set's manifest gives them, in float32.
InputStatistics input_statistics(const ShardReader& reader);

/// SHA-256 over the checksums of the train split's shards.
std::string train_set_identity(const ShardReader& reader);

class Trainer {
 public:
  /// Every GPU rank makes one. `log` exists on the lead rank alone, and `publisher` there too where
  /// there are FPGA ranks. `tuner`: chooses kernels by measurement. Throws Error when the device
  /// lacks memory or a kernel does not build.
  Trainer(Communicator& gpu_ranks, opencl::Device& device, const TrainSettings& settings,
          const Model& model, ShardReader& train_set, ShardReader& test_set, Publisher* publisher,
          RunLog* log, plan::Tuner* tuner = nullptr);

  /// Trains to the end. Collective over the GPU ranks.
  TrainResult run();

  const TrainPhases& phases() const { return phases_; }
  std::uint64_t samples() const { return samples_; }  // trained on by this rank

 private:
  void resume();
  /// Throws UsageError where going on from `start` would not continue its training.
  void expect_same_training(const Checkpoint& start, const std::filesystem::path& path) const;
  /// Quantised activations' first steps, from the first samples of the train split.
  void initialise_steps(Checkpoint& start);
  void broadcast_start(Checkpoint& start);
  /// Sets up the boosts (trainer_boost.cpp) and the feed of samples.
  void make_feed();
  /// Lead rank: sends weights and progress to the FPGA ranks, where a boost is due for them.
  void publish_for_boost();
  void log_boost(std::uint64_t epoch);
  double train_epoch(std::uint64_t epoch);
  void log_step(std::uint64_t epoch, const StepStatistics& done, double rate);
  StepStatistics reduce_and_update(std::uint64_t step);
  void validate();
  /// Whether the gradients are to be applied; adapts the loss scale.
  bool accept(std::span<const float> reduction);
  /// Throws Error unless all ranks hold the same, finite weights.
  void expect_sound_weights();
  void calibrate();
  void publish();
  /// Takes in whatever the FPGA ranks have sent. Lead rank; elsewhere nothing.
  void poll_fpga();
  void take_from_fpga();  // the same, as a part of another phase
  void collect(const std::vector<quant::Evaluation>& evaluations);
  void note_retired();
  void finish_fpga();
  void save(std::uint64_t epochs_done);
  bool is_lead() const { return ranks_.rank() == 0; }

  Communicator& ranks_;
  TrainSettings settings_;
  Model model_;
  ShardReader& train_set_;
  ShardReader& test_set_;
  Publisher* publisher_;
  RunLog* log_;
  StepSchedule schedule_;
  Plan plan_;
  std::optional<LossScale> loss_scale_;  // in fp16
  TrainPhases phases_;
  TrainResult result_;
  std::uint64_t first_epoch_ = 0;
  std::uint64_t step_ = 0;
  std::uint64_t samples_ = 0;
  Batch calibration_;    // this rank's share of the calibration samples
  Plan::Ranges ranges_;  // of the newest calibration

  BoostTiming timing_;
  std::optional<BoostArrivals> arrivals_;          // lead rank, where FPGA ranks boost
  std::optional<BoostContribution> contribution_;  // lead rank, where they contribute gradients
  std::unique_ptr<SampleFeed> feed_;               // reads train_set_ from its making on
};

}  // namespace dovetail
