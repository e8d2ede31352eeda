// The GPU ranks' loop: data-parallel training, validation, checkpoints and published weight packs.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "comm/all_reduce.hpp"
#include "comm/communicator.hpp"
#include "device/opencl/device.hpp"
#include "model/learning_rate.hpp"
#include "model/loss_scale.hpp"
#include "model/model.hpp"
#include "model/optimizer.hpp"
#include "plan/batches_ahead.hpp"
#include "plan/gradient_exchange.hpp"
#include "plan/held_set.hpp"
#include "plan/plan.hpp"
#include "plan/steps_ahead.hpp"
#include "quant/calibration.hpp"
#include "quant/network.hpp"
#include "quant/range_error.hpp"
#include "quant/weight_pack.hpp"
#include "shards/shard_reader.hpp"
#include "support/clock.hpp"
#include "train/balancer.hpp"
#include "train/boost_arrivals.hpp"
#include "train/boost_contribution.hpp"
#include "train/boost_settings.hpp"
#include "train/checkpoint.hpp"
#include "train/checkpoint_keeper.hpp"
#include "train/epoch_watch.hpp"
#include "train/phases.hpp"
#include "train/publisher.hpp"
#include "train/run_log.hpp"
#include "train/sample_feed.hpp"

namespace dovetail {

/// Where a GPU rank keeps the images that it trains on.
enum class DataPlace {
  automatic,  // on the device where it is no CPU and they take an eighth of its memory at most
  device,     // uploaded once; steps then name samples
  host        // each step uploads its own
};

struct TrainSettings {
  std::filesystem::path data;
  std::filesystem::path out;
  std::string model = "cnn";
  std::optional<Quantisation> quantisation{};  // train aware of it
  int epochs = 3;
  std::uint64_t steps = 0;           // optimiser steps to end after, in place of epochs; 0: epochs
  std::uint64_t validate_every = 0;  // steps between validations within an epoch; 0: none
  int batch = 128;                   // global: over all GPU ranks
  OptimizerSettings optimizer;
  LearningRate learning_rate;  // its total_steps follows from the data set
  double warmup_epochs = 0;
  double step_epochs = 1;  // interval of the step schedule
  LossKind loss = LossKind::cross_entropy;
  BalanceSettings balance;  // of the batch among the GPU ranks
  int repeats = 1;  // gradients are computed so often: stands in for a slower device, in tests
  std::uint64_t seed = 1;
  std::vector<std::string> fpga_formats{"int8"};  // every epoch's weights are scored in each
  double within_points = 1;  // of the float32 accuracy: the summary names the smallest such format
  quant::Calibration calibration;  // of what the FPGA ranks infer with
  BoostSettings boost;
  ComputeFormat format = ComputeFormat::float32;  // of the operands of products
  Augmentation augmentation;                      // of the images that GPU ranks train on
  DataPlace data_place = DataPlace::automatic;
  std::optional<UploadWay>
      upload_way{};  // of streamed images; by default the device's, as a plan's
  bool resume = false;
  std::string rank_name;  // of this rank among all of the job, for messages: "rank 3 on node7"

  // ---- sums over the ranks
  std::size_t bucket_bytes = std::size_t{1} << 20;  // of gradients that are summed together
  bool overlap = true;                              // they go out while the backward pass runs
  /// Chunks that each global batch is cut into, whatever the number of ranks, so that the weights
  /// don't depend on it; a power of two, at least the number of ranks. 0: one a rank.
  std::size_t chunks = 0;
  Compression compression = Compression::none;  // of what hosts send each other
  std::optional<int> ranks_per_group{};         // that share memory; by default those of a host

  // ---- checkpoints, beside that at each epoch's end
  std::uint64_t checkpoint_steps = 0;  // one each so many steps; 0: none
  double checkpoint_minutes = 0;       // one each so many minutes; 0: none
  std::size_t keep_checkpoints = 3;    // the newest ones; the best is kept beside them
};

/// What the lead rank knows when training has ended.
struct TrainResult {
  bool interrupted = false;             // a signal asked to stop: a checkpoint says where
  double test_accuracy = std::nan("");  // float32, of the last epoch
  double test_cross_entropy = std::nan("");
  double train_loss = std::nan("");  // mean over the last epoch, so far where it was interrupted;
                                     // none where nothing was left to train
  int epochs = 0;                    // begun; without one that was interrupted
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
  std::size_t buckets = 0;           // that gradients are summed in
  int groups = 1;                    // of ranks that share memory
  bool data_on_device = false;       // the images stay there
  std::vector<std::size_t> shares;   // at the end, of a whole step by GPU rank; none: by chunks
  std::uint64_t rebalanced = 0;      // times that the shares have changed
  Json kernels = Json::object();     // chosen by measurement, by product
};

/// Optimiser steps of the whole training. Where settings.steps ends it within an epoch, that epoch
/// counts as one.
std::uint64_t training_steps(const TrainSettings& settings, const StepSchedule& schedule);
/// The steps of an epoch, which FPGA ranks that boost it must know as well.
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
  /// there are FPGA ranks. `tuner`: chooses kernels by measurement, among those of the same bits
  /// where the settings cut batches into chunks. `all_reduce`: as make_all_reduce makes it; without
  /// one it is made here, and all ranks must be here together. Throws Error when the device lacks
  /// memory or a kernel does not build.
  Trainer(Communicator& gpu_ranks, opencl::Device& device, const TrainSettings& settings,
          const Model& model, ShardReader& train_set, ShardReader& test_set, Publisher* publisher,
          RunLog* log, plan::Tuner* tuner = nullptr,
          std::unique_ptr<AllReduce> all_reduce = nullptr);
  /// Collective over the GPU ranks.
  static std::unique_ptr<AllReduce> make_all_reduce(const Communicator& gpu_ranks,
                                                    const opencl::Device& device,
                                                    const TrainSettings& settings,
                                                    const Model& model, std::size_t train_samples);

  /// Of this rank's plan, without what is chosen or allocated for it.
  static PlanOptions plan_options(const TrainSettings& settings, std::size_t train_samples,
                                  const Communicator& gpu_ranks);

  /// Trains to the end, or until a signal asks a rank to stop (support/stop_signal.hpp): then all
  /// ranks finish the step under way, and a checkpoint is written. Collective over the GPU ranks.
  TrainResult run();

  const TrainPhases& phases() const { return phases_; }
  std::uint64_t samples() const { return samples_; }  // trained on by this rank
  Json communication();                               // of this rank, for its report

 private:
  void resume();
  /// Throws UsageError where going on from `start` would not continue its training.
  void expect_same_training(const Checkpoint& start, const std::filesystem::path& path) const;
  /// Quantised activations' first steps, from the first samples of the train split.
  void initialise_steps(Checkpoint& start);
  void broadcast_start(Checkpoint& start);
  /// Sets up the boosts (trainer_boost.cpp) and the feed of samples.
  void make_feed();
  void make_ordered_feed();
  /// Uploads the train split where it is to stay on the device.
  void hold_images();
  /// Lead rank: sends weights and progress to the FPGA ranks, where a boost is due for them.
  void publish_for_boost();
  void log_boost(std::uint64_t epoch);
  /// Once a run of each kind, at the end of the first epoch that gives cause.
  void warn_of_boost();
  /// The step behind an epoch's last, which --steps may bring forward.
  std::uint64_t epoch_end(std::uint64_t epoch) const;
  /// Trains what is left of an epoch; false where it was interrupted.
  bool train_epoch(std::uint64_t epoch);
  /// What all ranks do between two epochs.
  void finish_epoch(std::uint64_t epoch);
  /// A step with its sums over the ranks; returns their votes.
  StepVotes train_step(Batch& batch);
  /// Takes a step that is done into account.
  void note_step(std::uint64_t step, const StepStatistics& done);
  StepSamples samples_of(const Batch& batch);
  void enqueue_step(const Batch& batch, bool hand_over);
  StepStatistics reduce_and_update(std::uint64_t step, const Batch& batch, bool is_measured);
  /// All ranks' sums: what FPGA ranks contribute included. `is_measured`: their gradients are
  /// compared, and the step was not handed over.
  GradientExchange::Sums sums_of_all(std::uint64_t step, bool is_measured);
  GradientExchange::Sums sum_step(std::uint64_t step, bool is_measured);
  /// Throws Error naming the layer (`what`, of the sum), the step and the ranks that NaN or an
  /// infinity came from, and the checkpoint from before. Collective; computes this rank's gradients
  /// again.
  [[noreturn]] void fail_not_finite(std::uint64_t step, const Batch& batch, std::string what);
  [[noreturn]] void throw_not_finite(std::uint64_t step, std::string what,
                                     const std::vector<std::string>& sources,
                                     const std::string& boosts = "") const;
  /// Packs for the FPGA ranks. Throws Error where the weights leave the format, as those of a
  /// training that has diverged do.
  quant::WeightPack pack(const quant::Network& network, const std::string& format) const;
  quant::WeightPack pack_for_gradients(const quant::Network& network) const;
  [[noreturn]] void fail_to_publish(const std::string& format,
                                    const quant::RangeError& failure) const;
  std::string remedy_with_checkpoint() const;
  std::string my_name() const;

  // ---- steps of a rank that trains alone (trainer_ahead.cpp)
  /// Enqueues a step. What became of it and of those before it is known after catch_up() at the
  /// latest, which all that looks at the weights calls first.
  StepVotes step_ahead();
  void catch_up();
  void take_oldest();
  void note_done(const StepsAhead::Done& done);

  // ---- shares of the batch (trainer_balance.cpp)
  /// This rank's part of so many samples.
  Share my_share(std::size_t samples) const;
  /// After each step: what this rank computed in it. Collective after some of the first ones.
  void measure_pace(std::size_t samples);
  /// Compares the speeds of all ranks since it last did, and may change the shares. Collective.
  void rebalance();
  /// For the balancer's shares; where a rank lacks the memory, all go back to those of before, and
  /// it returns false. Collective.
  bool make_room(const std::vector<std::size_t>& before);
  /// Goes on with those of a checkpoint, where they are to be measured anyway. Collective.
  void resume_shares(const std::vector<std::uint64_t>& shares);

  // ---- stops and checkpoints within an epoch (trainer_stop.cpp)
  StepVotes my_votes() const;
  /// True where the job is to end now. Writes a checkpoint where one is due or the job ends.
  bool checkpoint_or_stop(const StepVotes& votes);
  bool may_resume_here() const;
  void validate();
  void validate_within(std::uint64_t epoch);
  /// Whether gradients that are, or aren't, in the format's range are to be applied; adapts the
  /// loss scale.
  bool accept(bool in_range);
  /// Gradients have left fp16's range down to the least loss scale.
  bool no_scale_helps() const { return loss_scale_ && loss_scale_->is_exhausted(); }
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
  void take_up_errors(const Checkpoint& start);
  void save();
  bool is_lead() const { return ranks_.rank() == 0; }

  Communicator& ranks_;
  opencl::Device& device_;
  TrainSettings settings_;
  Model model_;
  ShardReader& train_set_;
  ShardReader& test_set_;
  Publisher* publisher_;
  RunLog* log_;
  StepSchedule schedule_;
  Balancer balancer_;
  std::unique_ptr<AllReduce> all_reduce_;  // its memory is the plan's
  Plan plan_;
  GradientExchange exchange_;
  std::optional<HeldSet> held_set_;            // where the train set is on the device
  std::optional<BatchesAhead> batches_ahead_;  // where this rank trains alone, and
  std::optional<StepsAhead> ahead_;
  std::optional<EpochWatch> epoch_;
  std::optional<LossScale> loss_scale_;  // in fp16
  TrainPhases phases_;
  TrainResult result_;
  std::uint64_t epochs_done_ = 0;                 // validation included
  std::uint64_t step_ = 0;                        // steps done
  StepStatistics epoch_sums_;                     // of the steps done in the epoch under way
  std::optional<CheckpointKeeper> keeper_;        // lead rank
  std::optional<std::uint64_t> checkpoint_step_;  // of the newest checkpoint
  Stopwatch since_checkpoint_;
  std::uint64_t samples_ = 0;
  Batch calibration_;    // this rank's share of the calibration samples
  Plan::Ranges ranges_;  // of the newest calibration

  struct Pace {
    double samples = 0, seconds = 0;
    std::uint64_t steps = 0;
  };
  Pace pace_;                                // of this rank, since the last comparison
  double busy_before_ = 0;                   // seconds of phases, up to the newest step
  std::uint64_t steps_at_these_shares_ = 0;  // since this job began or changed them
  /// Measured before the next comparison within an epoch; doubled each time, since much is learned
  /// at first. 0, which no count of steps is: none.
  std::uint64_t probe_steps_ = 32;

  BoostTiming timing_;
  std::optional<BoostArrivals> arrivals_;          // lead rank, where FPGA ranks boost
  std::set<std::string> warned_of_;                // kinds of BoostWarning
  std::optional<BoostContribution> contribution_;  // lead rank, where they contribute gradients
  std::unique_ptr<SampleFeed> feed_;               // reads train_set_ from its making on
};

}  // namespace dovetail
