// FINN's networks in binary, from training to the card: `train --qat w1a1` with an FPGA rank that
// scores each epoch's weights while training goes on. What the card computed are the integers of
// both twins, bit for bit, in the live scores and in the predictions of `infer`.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <span>

#include "app/end_to_end.hpp"
#include "device/test_device.hpp"
#include "infer/opencl_engine.hpp"
#include "infer/reference_engine.hpp"
#include "model/score.hpp"
#include "plan/fpga_network.hpp"
#include "quant/weight_pack.hpp"
#include "shards/shard_writer.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::testing {
namespace {

/// Noise with a band whose place tells the class.
Samples bands(const SampleShape& shape, std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  Samples samples;
  samples.shape = shape;
  samples.classes = 10;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t label = random.next() % 10;
    samples.labels.push_back(static_cast<std::int32_t>(label));
    for (std::size_t pixel = 0; pixel < shape.bytes(); ++pixel) {
      const bool bright = pixel / shape.width % shape.height / 3 == label;
      samples.images.push_back(static_cast<std::uint8_t>(random.next() % 120 + (bright ? 130 : 0)));
    }
  }
  return samples;
}

struct Network {
  const char* model;
  SampleShape shape;
  std::size_t train, test, by_twin;
};

class BinaryNetworks : public ::testing::TestWithParam<Network> {
 protected:
  BinaryNetworks()
      : seed_(std::random_device{}()), test_(bands(GetParam().shape, GetParam().test, seed_)) {
    const Samples train = bands(GetParam().shape, GetParam().train, seed_ + 1);
    write_split(data(), train, {.split = "train"});
    write_split(data(), test_, {.split = "test"});
  }

  void SetUp() override {
    if (std::string(DOVETAIL_EMULATED_CARD_FOLDER).empty())
      GTEST_SKIP() << "this build has no emulated card";
  }

  fs::path data() const { return scratch_ / "data"; }
  fs::path run() const { return scratch_ / "run"; }

  void train() {
    const Words settings{"--qat",       "w1a1",        "--epochs",     "2",    "--batch",
                         "20",          "--optimizer", "adam",         "--lr", "0.003",
                         "--gpu-ranks", "1",           "--fpga-ranks", "1"};
    Words words{"train",          "--data", data(),
                "--out",          run(),    "--model",
                GetParam().model, "--seed", std::to_string(seed_ % 1000)};
    words.insert(words.end(), settings.begin(), settings.end());
    const Outcome outcome = dovetail_job(2, words).run(job_limit_s);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
    summary_ = Json::parse(read_file(run() / "summary.json"));
    std::ifstream log(run() / "run.jsonl");
    for (std::string line; std::getline(log, line);) {
      const Json event = Json::parse(line);
      if (event.at("event") == "evaluation") evaluations_.push_back(event);
    }
  }

  /// Logits of the test set by the GPU's integer kernels, and of its first samples by the plain
  /// twin, which is slow.
  std::vector<float> twin_logits(const fs::path& file) const {
    const Checkpoint checkpoint = load_checkpoint(file);
    const Plan::Ranges ranges{checkpoint.calibration.front(),
                              {checkpoint.calibration.begin() + 1, checkpoint.calibration.end()}};
    const quant::Network network =
        plan::fpga_network(model_of(checkpoint), checkpoint.parameters, checkpoint.statistics,
                           checkpoint.input_statistics, ranges);
    const quant::WeightPack pack = quant::pack(network, "w1a1", checkpoint.step);
    infer::OpenclEngine engine(test_device());
    engine.load(pack);
    const std::vector<float> logits = engine.run(test_.images, test_.size());
    const std::size_t few = GetParam().by_twin;
    const std::span<const std::uint8_t> images = test_.images;
    EXPECT_EQ(
        infer::run_reference(quant::parse(pack), images.first(few * test_.shape.bytes()), few),
        std::vector<float>(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(few * 10)));
    return logits;
  }

  hdf5::File infer(int ranks, const std::string& format) const {
    const fs::path out = scratch_ / (format + ".h5");
    const Outcome outcome =
        dovetail_job(ranks, {"infer", "--checkpoint", run() / "checkpoint.h5", "--data", data(),
                             "--format", format, "--out", out})
            .run(job_limit_s);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.text();
    return hdf5::File::open(out);
  }

  std::uint64_t seed_;
  Samples test_;
  ScratchFolder scratch_;
  Json summary_;
  std::vector<Json> evaluations_;
};

TEST_P(BinaryNetworks, TheCardScoresTheIntegersOfTheTwins) {
  SCOPED_TRACE(seed_);
  ASSERT_NO_FATAL_FAILURE(train());
  const Json& fpga = summary_.at("fpga");
  EXPECT_EQ(fpga.at("format"), "w1a1");
  EXPECT_EQ(fpga.at("backend"), "emulated");
  EXPECT_EQ(fpga.at("retired"), Json::array());
  ASSERT_EQ(evaluations_.size(), 2u);
  std::vector<float> logits;
  for (const Json& evaluation : evaluations_) {
    const auto step = evaluation.at("version").get<std::uint64_t>();
    SCOPED_TRACE(step);
    logits = twin_logits(run() / fmt::format("checkpoints/step-{:06}.h5", step));
    const Score score = score_logits(logits, test_.labels);
    const auto count = static_cast<double>(test_.labels.size());
    EXPECT_EQ(evaluation.at("accuracy").get<double>(), static_cast<double>(score.correct) / count);
    EXPECT_EQ(evaluation.at("loss").get<double>(), score.loss_sum / count);
  }
  EXPECT_EQ(fpga.at("accuracy"), evaluations_.back().at("accuracy"));

  const hdf5::File on_cards = infer(2, "w1a1");
  EXPECT_EQ(on_cards.read<float>("/logits"), logits) << "of the last epoch's checkpoint";

  // The float32 network that training saw has the same signs, but for sums within a float's last
  // bits of a threshold: no contract bit for bit, and no network of its own either.
  const auto by_card = on_cards.read<std::int32_t>("/labels");
  const auto by_gpu = infer(1, "float32").read<std::int32_t>("/labels");
  std::size_t unlike = 0, right = 0;
  for (std::size_t i = 0; i < by_card.size(); ++i) {
    unlike += by_card[i] != by_gpu[i];
    right += by_gpu[i] == test_.labels[i];
  }
  EXPECT_LE(unlike, by_card.size() / 4);
  EXPECT_EQ(summary_.at("test_accuracy").get<double>(),
            static_cast<double>(right) / static_cast<double>(by_gpu.size()));
}

INSTANTIATE_TEST_SUITE_P(Models, BinaryNetworks,
                         ::testing::Values(Network{"sfc", {1, 28, 28}, 400, 200, 40},
                                           Network{"lfc", {1, 28, 28}, 200, 100, 10},
                                           Network{"cnv", {3, 32, 32}, 40, 40, 2}),
                         [](const auto& tested) { return std::string(tested.param.model); });

}  // namespace
}  // namespace dovetail::testing
