// Boosted training over MPI: GPU ranks with the OpenCL plan, FPGA ranks with the engine's twin and
// with float32 gradients.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "infer/fpga_rank.hpp"
#include "infer/reference_engine.hpp"
#include "model/zoo.hpp"
#include "plan/fixture.hpp"
#include "quant/packed_network.hpp"
#include "support/error.hpp"
#include "train/spots.hpp"

namespace dovetail {
namespace {

using testing::relative_difference;
using testing::train_samples;
using testing::world;

Model spots_model() {
  return make_model("cnn", {1, 12, 12}, 10);
}

/// The engine's twin as an engine.
class TwinInference : public infer::Inference {
 public:
  void load(const quant::WeightPack& pack) override { network_ = quant::parse(pack); }
  std::vector<float> run(std::span<const std::uint8_t> images, std::size_t count) override {
    return infer::run_reference(network_, images, count);
  }

 private:
  quant::PackedNetwork network_;
};

/// Scores by the images alone, whatever the weights.
class WeightlessInference : public infer::Inference {
 public:
  void load(const quant::WeightPack&) override {}
  std::vector<float> run(std::span<const std::uint8_t> images, std::size_t count) override {
    const std::size_t image = images.size() / count;
    std::vector<float> logits;
    for (std::size_t i = 0; i < count; ++i) {
      double hash = 0;
      for (std::size_t at = 0; at < image; ++at)
        hash += std::sin(static_cast<double>(at + 1)) * images[i * image + at];
      for (int c = 0; c < 10; ++c) logits.push_back(static_cast<float>(4 * std::sin(hash + c)));
    }
    return logits;
  }
};

/// Float32 gradients by a plan of its own. Fails at the call `fails_at`, counted from 1.
class PlanGradients : public infer::GradientSource {
 public:
  PlanGradients(const InputStatistics& input, int fails_at)
      : plan_(testing::test_device(), spots_model(), input, {.batch = 16, .training = true}),
        fails_at_(fails_at) {}

  void load(const quant::WeightPack& pack) override {
    std::vector<Parameter> parameters = spots_model().initial_parameters(0);
    const std::uint8_t* next = pack.bytes.data();
    for (Parameter& parameter : parameters) {
      auto& values = parameter.value.values;
      std::memcpy(values.data(), next, values.size() * sizeof(float));
      next += values.size() * sizeof(float);
    }
    EXPECT_EQ(next, pack.bytes.data() + pack.bytes.size());
    plan_.load_parameters(parameters);
  }

  infer::GradientSums gradients(std::span<const std::uint8_t> images,
                                std::span<const std::int32_t> labels, std::uint64_t draw) override {
    if (++calls_ == fails_at_) throw Error("card 0: kernel gradients failed", "Look at the card");
    plan_.enqueue_gradients(images, labels, draw);
    const opencl::Mapping mapping = plan_.map_reduction();
    const StepStatistics done = plan_.step_statistics(mapping.as<float>());
    const std::vector<float> values = plan_.gradients(mapping.as<float>());
    infer::GradientSums sums;
    sums.samples = labels.size();
    sums.correct = static_cast<std::uint64_t>(done.correct);
    sums.loss_sum = done.loss_sum;
    sums.parameters = spots_model().initial_parameters(0);
    std::size_t next = 0;
    for (Parameter& parameter : sums.parameters) {
      for (float& value : parameter.value.values) value = values[next++];
    }
    return sums;
  }

 private:
  Plan plan_;
  int fails_at_;
  int calls_ = 0;
};

class BoostTest : public ::testing::Test {
 protected:
  /// The upper half of the ranks are FPGA ranks.
  static int fpga_ranks() { return world().size() / 2; }
  static bool is_fpga() { return world().rank() >= world().size() - fpga_ranks(); }

  TrainSettings settings(int epochs, const char* out) const {
    TrainSettings settings = folder_.settings(epochs, out);
    settings.boost.gradient_format = "float32";
    settings.boost.select_format = "int8";
    settings.boost.measure_every = 4;
    return settings;
  }

  /// The whole job; FPGA ranks get an empty result. `fails_at` counts a source's calls on the last
  /// rank.
  template <typename Inference = TwinInference>
  static TrainResult train(const TrainSettings& settings, int fails_at = 0) {
    const bool fpga = is_fpga();
    auto gpus = world().split(fpga ? std::nullopt : std::optional(0), 0);
    const bool linked = fpga || world().is_lead();
    auto link = world().split(linked ? std::optional(0) : std::nullopt, fpga ? 1 : 0);
    ShardReader train_set(settings.data, "train", {.seed = settings.seed}),
        test_set(settings.data, "test");
    TrainResult result;
    if (fpga) {
      const bool is_last = world().rank() == world().size() - 1;
      PlanGradients source(input_statistics(train_set), is_last ? fails_at : 0);
      FpgaDuties duties;
      duties.name = fmt::format("rank {}", world().rank());
      duties.open = [](const std::string&) { return std::make_unique<Inference>(); };
      duties.test_set = &test_set;
      if (settings.boost.needs_fpga()) {
        duties.train_set = &train_set;
        duties.schedule = step_schedule(settings, train_set.samples());
        duties.timing = boost_timing(settings, duties.schedule, 0);
        duties.select_format = settings.boost.select_format;
        duties.gradients = &source;
        duties.gradient_format = settings.boost.gradient_format;
      }
      FpgaRank rank(*link, duties);
      rank.run();
      if (settings.boost.wait) {
        EXPECT_EQ(rank.retired(), is_last && fails_at > 0);
      }
    } else {
      std::optional<RunLog> log;
      std::optional<Publisher> publisher;
      if (gpus->is_lead()) {
        log.emplace(settings.out / "run.jsonl", false);
        publisher.emplace(*link);
      }
      Trainer trainer(*gpus, testing::test_device(), settings, spots_model(), train_set, test_set,
                      publisher ? &*publisher : nullptr, log ? &*log : nullptr);
      result = trainer.run();
    }
    world().barrier();
    return result;
  }

  static std::vector<Parameter> parameters_of(const TrainSettings& settings) {
    return load_checkpoint(settings.out / "checkpoint.h5").parameters;
  }

  testing::SpotsFolder folder_;
};

TEST_F(BoostTest, WaitedContributionsGiveTheGradientOfTheWholeBatch) {
  TrainSettings alone = settings(2, "alone"), boosted = settings(2, "boosted");
  boosted.boost.share = 0.4;
  boosted.boost.wait = true;
  boosted.boost.staleness = 0;
  const TrainResult expected = train(alone), result = train(boosted);
  if (!world().is_lead()) return;
  EXPECT_EQ(result.steps, 2u * 10);
  EXPECT_EQ(result.boost.boosted_steps, 2u * 9);
  // 6 of each 16; the epoch's last step has 6 in all, which fit the GPU ranks' 10.
  EXPECT_EQ(result.boost.boosted_samples, 2u * 9 * 6);
  EXPECT_EQ(result.boost.missing_samples, 0u);
  EXPECT_EQ(result.boost.gradient_staleness.largest, 0u);
  EXPECT_EQ(result.boost.late_gradients, 0u);
  EXPECT_NEAR(result.train_loss, expected.train_loss, 1e-5);
  EXPECT_LT(relative_difference(parameters_of(boosted), parameters_of(alone)), 1e-5);
  ASSERT_TRUE(result.boost_cosine.has_value());
  EXPECT_NEAR(*result.boost_cosine, 1, 1e-4);
  EXPECT_NEAR(*result.boost_norm_ratio, 1, 1e-4);
}

TEST_F(BoostTest, UnequalSharesOfABoostedStepTrainTheSame) {
  const int gpus = world().size() - fpga_ranks();
  std::vector<double> ratios(static_cast<std::size_t>(gpus), 1);
  ratios.back() = 3;
  for (const bool selects : {false, true}) {
    TrainSettings equal = settings(2, "equal"), unequal = settings(2, "unequal");
    for (TrainSettings* each : {&equal, &unequal}) {
      if (selects) {
        each->boost.keep = 0.5;
      } else {
        each->boost.share = 0.4;
      }
      each->boost.wait = true;
      each->boost.staleness = 0;
    }
    unequal.balance.kind = BalanceKind::fixed;
    unequal.balance.ratios = ratios;
    const TrainResult expected = train(equal), result = train(unequal);
    if (!world().is_lead()) continue;
    EXPECT_EQ(result.trained_samples, expected.trained_samples);
    if (gpus > 1) {
      EXPECT_GT(result.shares.back(), expected.shares.back());
    }
    // A score that falls on the other side of a rounding chooses another sample.
    if (selects) continue;
    EXPECT_NEAR(result.train_loss, expected.train_loss, 1e-5);
    EXPECT_LT(relative_difference(parameters_of(unequal), parameters_of(equal)), 1e-5);
  }
}

TEST_F(BoostTest, MeasuringChangesNothing) {
  TrainSettings often = settings(1, "often"), never = settings(1, "never");
  for (TrainSettings* each : {&often, &never}) {
    each->boost.share = 0.4;
    each->boost.wait = true;
    each->boost.staleness = 2;
  }
  often.boost.measure_every = 1;
  never.boost.measure_every = 1000000;
  const TrainResult first = train(often), second = train(never);
  EXPECT_EQ(first.weights_sha256, second.weights_sha256);
  if (world().is_lead()) {
    EXPECT_LE(first.boost.gradient_staleness.largest, 2u);
  }
}

TEST_F(BoostTest, ContributionsAreAddedTheSameBucketByBucket) {
  std::string expected;
  for (const bool overlap : {false, true}) {
    for (const std::size_t bucket_bytes : {std::size_t{0}, std::size_t{1} << 10}) {
      TrainSettings boosted = settings(1, "buckets");
      boosted.boost.share = 0.4;
      boosted.boost.wait = true;
      boosted.boost.staleness = 2;
      boosted.boost.measure_every = 1000000;
      boosted.overlap = overlap;
      boosted.bucket_bytes = bucket_bytes;
      const TrainResult result = train(boosted);
      if (expected.empty()) expected = result.weights_sha256;
      EXPECT_EQ(result.weights_sha256, expected) << overlap << ' ' << bucket_bytes;
    }
  }
}

TEST_F(BoostTest, NobodyWaitsForLateContributions) {
  TrainSettings free = settings(3, "free");
  free.boost.share = 0.25;
  free.boost.staleness = 1;
  const TrainResult result = train(free);
  if (!world().is_lead()) return;
  EXPECT_EQ(result.steps, 3u * 10);
  EXPECT_LE(result.boost.boosted_steps, result.steps);
  const StepSchedule schedule = step_schedule(free, train_samples);
  std::uint64_t asked = 0;
  for (std::uint64_t step = 0; step < result.steps; ++step)
    asked += schedule.at(step).contributed.count;
  EXPECT_EQ(result.boost.boosted_samples + result.boost.missing_samples, asked);
  EXPECT_TRUE(std::isfinite(result.train_loss));
  EXPECT_EQ(result.evaluations.size(), 3u);
}

TEST_F(BoostTest, WaitedScoresAreAsOldAsAllowed) {
  for (const std::uint64_t staleness : {0, 3}) {
    TrainSettings select = settings(3, "select"), again = settings(3, "again");
    for (TrainSettings* each : {&select, &again}) {
      each->boost.keep = 1.0 / 3;
      each->boost.wait = true;
      each->boost.staleness = staleness;
    }
    const TrainResult result = train(select), repeated = train(again);
    EXPECT_EQ(result.weights_sha256, repeated.weights_sha256);
    if (!world().is_lead()) continue;
    EXPECT_EQ(result.steps, 3u * 4);  // 48 candidates a step
    EXPECT_EQ(result.boost.selected_steps, result.steps);
    EXPECT_EQ(result.boost.score_staleness.largest, staleness);
    EXPECT_EQ(result.boost.late_scores, 0u);
  }
}

TEST_F(BoostTest, ScoresReachTheirSamplesHoweverOldTheWeights) {
  std::vector<std::string> weights;
  for (const std::uint64_t staleness : {0, 2, 5}) {
    TrainSettings select = settings(3, "fixed");
    select.boost.keep = 1.0 / 3;
    select.boost.select = SelectKind::hard;
    select.boost.wait = true;
    select.boost.staleness = staleness;
    weights.push_back(train<WeightlessInference>(select).weights_sha256);
  }
  EXPECT_EQ(weights[1], weights[0]);
  EXPECT_EQ(weights[2], weights[0]);
}

TEST_F(BoostTest, LateScoresLeaveTheUnscoredOrder) {
  TrainSettings free = settings(6, "free");
  free.boost.keep = 0.5;
  const TrainResult result = train(free);
  if (!world().is_lead()) return;
  EXPECT_EQ(result.boost.selected_steps + result.boost.late_scores, result.steps);
  EXPECT_GE(result.boost.late_scores, 3u) << "the first steps have no scores";
}

TEST_F(BoostTest, RandomSelectionNeedsNoScoresFromTheFirstStepOn) {
  for (const bool wait : {true, false}) {
    TrainSettings select = settings(2, "random"), again = settings(2, "again");
    for (TrainSettings* each : {&select, &again}) {
      each->boost.keep = 0.5;
      each->boost.select = SelectKind::random;
      each->boost.wait = wait;
    }
    const TrainResult result = train(select), repeated = train(again);
    EXPECT_EQ(result.weights_sha256, repeated.weights_sha256);
    if (!world().is_lead()) continue;
    EXPECT_EQ(result.boost.selected_steps, result.steps);
    EXPECT_EQ(result.boost.selected_samples, result.trained_samples);
    EXPECT_EQ(result.boost.late_scores, 0u);
  }
}

TEST_F(BoostTest, WarnsOnceWhereMostScoresAreLate) {
  // Of five steps the first three never have scores.
  TrainSettings free = settings(1, "warned");
  free.boost.keep = 0.5;
  const TrainResult result = train(free);
  if (!world().is_lead()) return;
  ASSERT_EQ(result.steps, 5u);
  ASSERT_GE(result.boost.late_scores, 3u);
  std::ifstream log(free.out / "run.jsonl");
  int warnings = 0;
  for (std::string line; std::getline(log, line);) {
    const Json event = Json::parse(line);
    if (event["event"] != "warning") continue;
    EXPECT_EQ(event["kind"], "late_scores");
    ++warnings;
  }
  EXPECT_EQ(warnings, 1);
}

TEST_F(BoostTest, EveryKindOfSelectionTrains) {
  for (const SelectKind kind : {SelectKind::importance, SelectKind::hard, SelectKind::random}) {
    for (const char* format : {"int8", "float32"}) {
      TrainSettings select = settings(2, "kinds");
      select.boost.keep = 0.5;
      select.boost.select = kind;
      select.boost.select_format = format;
      select.boost.wait = true;
      select.boost.staleness = 0;
      const TrainResult result = train(select);
      if (!world().is_lead()) continue;
      EXPECT_EQ(result.boost.selected_steps + result.boost.late_scores, result.steps);
      EXPECT_LT(result.train_loss, 2.5) << to_string(kind) << " by " << format;
    }
  }
}

TEST_F(BoostTest, BothBoostsRunTogether) {
  TrainSettings both = settings(2, "both");
  both.boost.share = 0.25;
  both.boost.keep = 0.5;
  both.boost.wait = true;
  both.boost.staleness = 0;
  const TrainResult result = train(both);
  if (!world().is_lead()) return;
  EXPECT_EQ(result.steps, 2u * 6);  // 24 candidates and 4 contributed samples a step
  EXPECT_EQ(result.boost.selected_steps, result.steps);
  EXPECT_EQ(result.boost.boosted_steps, 2u * 5) << "the last step has 10 candidates alone";
  EXPECT_EQ(result.boost.boosted_samples, 2u * 5 * 4);
}

TEST_F(BoostTest, TheShareOfARetiredRankGoesToTheOthers) {
  for (const bool wait : {true, false}) {
    TrainSettings boosted = settings(4, "retired");
    boosted.balance.kind = wait ? BalanceKind::automatic : BalanceKind::equal;
    boosted.boost.share = 0.25;
    boosted.boost.wait = wait;
    boosted.boost.staleness = 0;
    const TrainResult result = train(boosted, 3);
    if (!world().is_lead()) continue;
    EXPECT_EQ(result.steps, 4u * 10);
    // Where nobody waits, training may be over before the third contribution.
    if (!wait && result.retired.empty()) continue;
    ASSERT_EQ(result.retired.size(), 1u);
    EXPECT_NE(result.retired[0].find("kernel gradients failed"), std::string::npos);
    const std::size_t evaluated = result.evaluations.size();
    if (fpga_ranks() > 1) {
      EXPECT_EQ(evaluated, 4u) << "the others evaluate on";
    } else {
      EXPECT_LE(evaluated, 4u);
    }
    // By whoever is left; the step in which the last rank retires may miss its share.
    if (wait) {
      EXPECT_GE(result.trained_samples, 4 * train_samples - 4);
      EXPECT_LE(result.trained_samples, 4 * train_samples);
    }
  }
}

}  // namespace
}  // namespace dovetail
