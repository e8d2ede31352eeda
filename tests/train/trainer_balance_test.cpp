// However the batch is split over the ranks, a step takes the gradient of all of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>

#include "model/zoo.hpp"
#include "ops/reference/activation.hpp"
#include "ops/reference/conv2d.hpp"
#include "ops/reference/loss.hpp"
#include "ops/reference/matmul.hpp"
#include "ops/reference/pool2d.hpp"
#include "plan/fixture.hpp"
#include "support/error.hpp"
#include "train/spots.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;
using testing::train_samples;
using testing::world;
using Values = std::vector<double>;

constexpr std::uint64_t steps_per_epoch = 10;  // 150 samples in steps of 16

std::size_t rank() {
  return static_cast<std::size_t>(world().rank());
}

std::size_t ranks() {
  return static_cast<std::size_t>(world().size());
}

/// Another one in each run, the same on all ranks.
std::uint64_t fresh_seed() {
  std::uint64_t seed = std::random_device{}();
  world().broadcast(std::span(&seed, 1), 0);
  return seed;
}

/// A small network in float64, of the twins: convolution, ReLU, max-pool, dense.
struct Net {
  static constexpr int channels = 3;
  static constexpr std::size_t features = 3 * 6 * 6, classes = 10;
  Values conv = Values(channels * 9), conv_bias = Values(channels),
         dense = Values(classes * features), dense_bias = Values(classes);

  explicit Net(std::mt19937_64& random) {
    std::normal_distribution<double> normal(0, 0.3);
    for (Values* all : {&conv, &conv_bias, &dense, &dense_bias})
      for (double& value : *all) value = normal(random);
  }

  /// The sums of the samples' gradients, all parameters one after the other, and of their losses.
  Values gradient_sums(const Batch& batch) const {
    const std::size_t n = batch.size();
    const reference::Conv2dExtents c{static_cast<int>(n), 1, channels, 12, 12, 3, 1, 1};
    const reference::Pool pool{.images = n * channels, .height = 12, .width = 12};
    const reference::MatmulExtents d{n, features, classes};
    const Values x = reference::normalise_input({batch.images.begin(), batch.images.end()}, 144,
                                                Values{0.3}, Values{0.25});
    const Values y = reference::conv2d(c, x, conv, conv_bias, true);
    const Values z = reference::max_pool(pool, y);
    const auto loss =
        reference::softmax_cross_entropy(reference::matmul(d, z, dense, dense_bias, false),
                                         {batch.labels.begin(), batch.labels.end()});
    const Values dz = reference::matmul_input_gradient(d, loss.gradient, dense, z, false);
    const Values dy = reference::relu_gradient(y, reference::max_pool_gradient(pool, y, dz));
    Values all;
    for (const Values& part :
         {reference::conv2d_weight_gradient(c, x, dy), reference::conv2d_bias_gradient(c, dy),
          reference::matmul_weight_gradient(d, z, loss.gradient),
          reference::matmul_bias_gradient(d, loss.gradient)})
      all.insert(all.end(), part.begin(), part.end());
    all.push_back(loss.loss);
    return all;
  }
  std::size_t sums() const {
    return conv.size() + conv_bias.size() + dense.size() + dense_bias.size() + 1;
  }
};

/// Some ranks get nothing, one gets something.
Shares random_shares(std::mt19937_64& random) {
  std::vector<double> weights(ranks());
  for (double& weight : weights) weight = random() % 4 == 0 ? 0 : std::exp(double(random() % 5));
  weights[random() % ranks()] = 1;
  return Shares(weights);
}

class BalanceTest : public ::testing::Test {
 protected:
  TrainSettings settings(const char* model, const std::string& out) const {
    TrainSettings settings = folder_.settings(2, out);
    settings.model = model;
    settings.optimizer.momentum = 0.9f;
    settings.bucket_bytes = 16 << 10;
    return settings;
  }

  static BalanceSettings fixed(std::vector<double> ratios) {
    BalanceSettings balance;
    balance.kind = BalanceKind::fixed;
    balance.ratios = std::move(ratios);
    return balance;
  }
  static BalanceSettings automatic() {
    BalanceSettings balance;
    balance.kind = BalanceKind::automatic;
    return balance;
  }
  /// A number a rank.
  static BalanceSettings random_ratios(std::mt19937_64& random) {
    std::vector<double> ratios(ranks());
    for (double& ratio : ratios) ratio = std::exp(static_cast<double>(random() % 1000) / 400);
    return fixed(ratios);
  }

  struct Run {
    TrainResult result;
    std::uint64_t samples = 0;  // of this rank
  };
  static Run train(Communicator& of, const TrainSettings& settings) {
    ShardReader train_set(settings.data, "train", {.seed = settings.seed}),
        test_set(settings.data, "test");
    std::optional<RunLog> log;
    if (of.is_lead()) log.emplace(settings.out / "run.jsonl", settings.resume);
    const Model model = make_model(settings.model, {1, 12, 12}, 10, settings.quantisation);
    Trainer trainer(of, testing::test_device(), settings, model, train_set, test_set, nullptr,
                    log ? &*log : nullptr);
    Run run{trainer.run()};
    run.samples = trainer.samples();
    return run;
  }

  static Checkpoint checkpoint(const TrainSettings& settings) {
    return load_checkpoint(settings.out / "checkpoint.h5");
  }
  static std::vector<Json> events(const TrainSettings& settings, const std::string& kind) {
    std::vector<Json> found;
    std::ifstream log(settings.out / "run.jsonl");
    for (std::string line; std::getline(log, line);) {
      const Json event = Json::parse(line);
      if (event.at("event") == kind) found.push_back(event);
    }
    return found;
  }

  testing::SpotsFolder folder_;
};

TEST_F(BalanceTest, AnySplitAddsUpToTheGradientOfTheWholeBatchInDouble) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const fs::path data = folder_.data();
  for (int trial = 0; trial < 3; ++trial) {
    const Net net(random);
    ShardReader reader(data, "train", {.seed = seed}), whole_reader(data, "train", {.seed = seed});
    const StepSchedule schedule = StepSchedule::make(train_samples, 5 + random() % 60, 0, 1);
    const std::uint64_t steps = schedule.steps_per_epoch() + 2;
    OrderedFeed feed(world(), reader, schedule, random_shares(random), 0, steps);
    Batch mine, whole;
    for (std::uint64_t step = 0; step < steps; ++step) {
      feed.next(step, mine);
      Values sums = mine.size() > 0 ? net.gradient_sums(mine) : Values(net.sums(), 0.0);
      sums.push_back(static_cast<double>(mine.size()));
      world().all_reduce_sum(sums);

      const StepSchedule::Step plan = schedule.at(step);
      whole_reader.read({.epoch = static_cast<std::int64_t>(plan.epoch),
                         .begin = plan.pool.begin,
                         .count = plan.pool.count},
                        whole);
      const Values expected = net.gradient_sums(whole);
      ASSERT_EQ(sums.back(), static_cast<double>(whole.size()));
      double largest = 0, worst = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const double mean = expected[i] / static_cast<double>(whole.size());
        largest = std::max(largest, std::abs(mean));
        worst = std::max(worst, std::abs(sums[i] / sums.back() - mean));
      }
      EXPECT_LT(worst, 1e-12 * largest) << "step " << step;
      if (random() % 3 == 0) feed.rebalance(step + 1, random_shares(random));
    }
  }
}

TEST_F(BalanceTest, AnySplitTakesTheStepThatOneRankTakes) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (const std::uint64_t steps : {1, 12}) {  // of plain SGD, the first one is its gradient
    for (const char* model : {"mlp", "cnn"}) {
      TrainSettings split = settings(model, fmt::format("split{}", steps));
      split.balance = random_ratios(random);
      split.batch = static_cast<int>(ranks() + random() % 60);
      split.steps = steps;
      split.optimizer.momentum = 0;
      split.learning_rate.base = steps == 1 ? 1.0f : 0.02f;
      if (random() % 2 == 0) split.ranks_per_group = 1;
      SCOPED_TRACE(
          fmt::format("{}, batch {}, --balance {}", model, split.batch, to_string(split.balance)));
      TrainSettings alone = split;
      alone.out = settings(model, fmt::format("alone{}", steps)).out;
      alone.balance = {};
      alone.ranks_per_group.reset();
      const Run run = train(world(), split);
      EXPECT_EQ(world().all_reduce_sum(run.samples), run.result.trained_samples);
      auto lead = world().split(world().is_lead() ? std::optional(0) : std::nullopt, 0);
      if (lead) {
        EXPECT_NEAR(train(*lead, alone).result.train_loss, run.result.train_loss, 1e-5);
        const auto start = make_model(model, {1, 12, 12}, 10).initial_parameters(split.seed);
        auto actual = checkpoint(split).parameters, expected = checkpoint(alone).parameters;
        for (std::size_t i = 0; i < start.size(); ++i) {
          for (std::size_t j = 0; j < start[i].value.size(); ++j) {
            actual[i].value.values[j] -= start[i].value.values[j];
            expected[i].value.values[j] -= start[i].value.values[j];
          }
        }
        EXPECT_LT(testing::relative_difference(actual, expected), steps == 1 ? 2e-6 : 2e-5);
      }
      world().barrier();
    }
  }
}

TEST_F(BalanceTest, RatiosRepeatToTheBitAndGoOnWithinAnEpoch) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  TrainSettings whole = settings("cnn", "whole");
  whole.balance = random_ratios(random);
  const Run expected = train(world(), whole);
  EXPECT_EQ(std::accumulate(expected.result.shares.begin(), expected.result.shares.end(), 0u), 16u);
  TrainSettings stopped = settings("cnn", "stopped");
  stopped.balance = whole.balance;
  stopped.steps = 13;
  train(world(), stopped);
  world().barrier();
  const std::vector<std::uint64_t> stored = checkpoint(stopped).shares;
  EXPECT_EQ(stored, std::vector<std::uint64_t>(expected.result.shares.begin(),
                                               expected.result.shares.end()));
  stopped.resume = true;
  stopped.steps = 2 * steps_per_epoch;
  const Run resumed = train(world(), stopped);
  EXPECT_EQ(resumed.result.weights_sha256, expected.result.weights_sha256);
  EXPECT_EQ(resumed.result.train_loss, expected.result.train_loss);
  EXPECT_EQ(resumed.result.test_accuracy, expected.result.test_accuracy);
}

TEST_F(BalanceTest, AutoIsEqualUntilItHasMeasured) {
  TrainSettings equal = settings("mlp", "equal"), unmeasured = settings("mlp", "unmeasured");
  equal.steps = unmeasured.steps = 3;
  unmeasured.balance = automatic();
  const Run expected = train(world(), equal), run = train(world(), unmeasured);
  EXPECT_EQ(run.result.weights_sha256, expected.result.weights_sha256);
  EXPECT_EQ(run.result.shares, expected.result.shares);
  EXPECT_EQ(run.result.rebalanced, 0u);
  world().barrier();
  EXPECT_TRUE(checkpoint(unmeasured).shares.empty());
}

TEST_F(BalanceTest, AutoGoesOnWithTheSharesOfTheCheckpoint) {
  // As far from equal as can be, so that one rank's plan must grow.
  std::vector<double> ratios(ranks(), 1);
  ratios.back() = 1000;
  for (const char* model : {"mlp", "cnn"}) {
    TrainSettings run = settings(model, model);
    run.balance = fixed(ratios);
    run.steps = 3;
    const Run before = train(world(), run);
    EXPECT_EQ(before.result.shares.back(), 16 - (ranks() - 1));
    world().barrier();
    // The fixed run again, as the other continuation is to be.
    TrainSettings same = run, other = run;
    other.out = settings(model, fmt::format("{}-other", model)).out;
    if (world().is_lead())
      fs::copy_file(run.out / "checkpoint.h5", other.out / "checkpoint.h5",
                    fs::copy_options::overwrite_existing);
    world().barrier();
    same.resume = other.resume = true;
    same.steps = other.steps = 6;
    other.balance = automatic();  // three steps are too few to measure
    const Run expected = train(world(), same), resumed = train(world(), other);
    EXPECT_EQ(resumed.samples, 3 * before.result.shares[rank()]);
    EXPECT_EQ(resumed.result.shares, before.result.shares);
    world().barrier();
    EXPECT_LT(
        testing::relative_difference(checkpoint(other).parameters, checkpoint(same).parameters),
        1e-5);
    EXPECT_NEAR(resumed.result.train_loss, expected.result.train_loss, 1e-5);
    // Told to be equal, it is.
    same.balance = {};
    same.steps = 7;
    EXPECT_EQ(train(world(), same).samples, share(16, rank(), ranks()).count);
  }
}

TEST_F(BalanceTest, AutoTrainsWhatEqualSharesTrainWhateverItMeasures) {
  TrainSettings equal = settings("cnn", "equal"), balanced = settings("cnn", "balanced");
  equal.epochs = balanced.epochs = 4;
  balanced.balance = automatic();
  // Some rank is much slower.
  balanced.repeats = world().rank() == world().size() / 2 ? 6 : 1;
  const Run expected = train(world(), equal), run = train(world(), balanced);
  EXPECT_NEAR(run.result.train_loss, expected.result.train_loss, 1e-3);
  EXPECT_EQ(run.result.trained_samples, 4 * train_samples);
  EXPECT_EQ(world().all_reduce_sum(run.samples), 4 * train_samples);
  const std::vector<std::size_t>& shares = run.result.shares;
  EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), 0u), 16u);
  if (!world().is_lead()) return;
  const std::vector<Json> seen = events(balanced, "balance");
  ASSERT_EQ(seen.size(), ranks() > 1 ? 4u : 0u);
  std::uint64_t changes = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].at("step"), (i + 1) * steps_per_epoch);
    EXPECT_GE(seen[i].at("imbalance"), 0);
    EXPECT_EQ(seen[i].at("samples_per_second").size(), ranks());
    const auto now = seen[i].at("shares").get<std::vector<std::size_t>>();
    EXPECT_EQ(std::accumulate(now.begin(), now.end(), 0u), 16u);
    EXPECT_GE(*std::min_element(now.begin(), now.end()), 1u);
    if (i > 0) {
      EXPECT_EQ(seen[i].at("before"), seen[i - 1].at("shares"));
    }
    changes += now == seen[i].at("before").get<std::vector<std::size_t>>() ? 0 : 1;
  }
  EXPECT_EQ(changes, run.result.rebalanced);
  if (!seen.empty()) {
    EXPECT_EQ(seen.back().at("shares"), Json(shares));
    EXPECT_EQ(seen.back().at("before"), seen.back().at("shares")) << "nothing is left to train";
  }
}

TEST_F(BalanceTest, AutoComparesSpeedsWithinItsFirstEpochToo) {
  TrainSettings run = settings("mlp", "within");
  run.balance = automatic();
  run.batch = 2;  // 75 steps an epoch
  auto pair = world().split(world().rank() < 2 ? std::optional(0) : std::nullopt, 0);
  if (pair && pair->size() == 2) {
    train(*pair, run);
    std::vector<std::uint64_t> steps;
    for (const Json& event : events(run, "balance")) steps.push_back(event.at("step"));
    if (world().is_lead()) {
      EXPECT_THAT(steps, ::testing::ElementsAre(34, 75, 150));
    }
  }
  world().barrier();
}

TEST_F(BalanceTest, ARankThatComputesOftenerComputesTheSame) {
  for (const char* model : {"cnn", "vgg-small"}) {
    TrainSettings once = settings(model, "once"), often = settings(model, "often");
    once.steps = often.steps = 2;
    often.repeats = world().rank() == 0 ? 3 : 1;
    EXPECT_EQ(train(world(), often).result.weights_sha256,
              train(world(), once).result.weights_sha256);
  }
}

TEST_F(BalanceTest, RefusesRatiosOfAnotherNumberOfRanks) {
  TrainSettings run = settings("mlp", "refused");
  run.balance = fixed(std::vector<double>(ranks() + 1, 1.0));
  EXPECT_THROW(train(world(), run), UsageError);
  run.balance = automatic();
  run.batch = static_cast<int>(ranks()) - 1;
  if (run.batch > 0) {
    EXPECT_THROW(train(world(), run), UsageError);
  }
}

}  // namespace
}  // namespace dovetail
