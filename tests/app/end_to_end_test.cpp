// The main job as a person starts it: shards, training on two GPU ranks with an FPGA rank scoring,
// resuming, and inference in both precisions, all on one small real data set.
#include "app/end_to_end.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <random>
#include <set>

#include "device/test_device.hpp"
#include "model/random_norms.hpp"
#include "model/zoo.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::size_t hits(const std::vector<std::int32_t>& predicted,
                 const std::vector<std::int32_t>& labels) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) count += predicted.at(i) == labels[i];
  return count;
}

TEST_F(EndToEnd, EventsTellTheRunFromStartToEnd) {
  EXPECT_EQ(reference_.events.front().at("event"), "start");
  EXPECT_EQ(reference_.events.back().at("event"), "end");
  EXPECT_EQ(reference_.events.front().at("placement").size(), has_card() ? 3u : 2u);
  EXPECT_EQ(reference_.events_named("epoch").size(), 2u);
  EXPECT_EQ(reference_.events_named("step").size(), 1u);  // one each 50 steps; here are 60
  for (const Json& event : reference_.events) EXPECT_TRUE(event.contains("time")) << event;
}

TEST_F(EndToEnd, SummaryHoldsWhatScriptsRelyOn) {
  const Json& summary = reference_.summary;
  EXPECT_EQ(summary.at("epochs"), 2);
  EXPECT_EQ(summary.at("steps"), 60);
  EXPECT_GT(summary.at("test_accuracy").get<double>(), 0.4);  // ten classes
  EXPECT_GT(summary.at("samples_per_second").get<double>(), 0);
  EXPECT_TRUE(std::isfinite(summary.at("train_loss").get<double>()));
  EXPECT_EQ(reference_.weights().size(), 64u);
  std::uint64_t trained = 0;
  for (const Json& rank : summary.at("ranks")) {
    for (const char* key : {"role", "device", "host", "samples", "seconds"})
      EXPECT_TRUE(rank.contains(key)) << key;
    if (rank.at("role") == "gpu") trained += rank.at("samples").get<std::uint64_t>();
  }
  EXPECT_EQ(trained, 2 * train_samples);
  for (const char* key : {"format", "accuracy", "evaluations", "boosted_steps", "boosted_samples",
                          "selected_samples", "late", "backend"}) {
    EXPECT_TRUE(summary.at("fpga").contains(key)) << key;
  }
}

TEST_F(EndToEnd, EveryPublishedVersionIsEvaluatedOnce) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  std::vector<std::uint64_t> published, evaluated;
  for (const Json& event : reference_.events_named("broadcast"))
    published.push_back(event.at("version"));
  for (const Json& event : reference_.events_named("evaluation")) {
    evaluated.push_back(event.at("version"));
    EXPECT_EQ(event.at("samples"), test_samples);
    EXPECT_EQ(event.at("format"), "int8");
  }
  EXPECT_THAT(published, ElementsAre(30, 60));
  EXPECT_EQ(evaluated, published);
  EXPECT_EQ(reference_.summary.at("fpga").at("evaluations").size(), 2u);
  EXPECT_EQ(reference_.summary.at("fpga").at("backend"), "emulated");
  EXPECT_EQ(reference_.summary.at("fpga").at("accuracy"),
            reference_.events_named("evaluation").back().at("accuracy"));
}

TEST_F(EndToEnd, CheckpointHoldsTheSummarysWeights) {
  const Checkpoint checkpoint = load_checkpoint(reference_.folder / "checkpoint.h5");
  EXPECT_EQ(checkpoint.epoch, 2u);
  EXPECT_EQ(checkpoint.step, 60u);
  EXPECT_EQ(weights_sha256(checkpoint.parameters), reference_.weights());
}

TEST_F(EndToEnd, OneRankTalksInPlainLines) {
  const std::string& text = reference_.outcome.out;
  EXPECT_EQ(reference_.outcome.err, "");
  EXPECT_EQ(text.find_first_of("\r\033"), std::string::npos) << text;
  // An indented line belongs to the last one that is indented less: two epochs may take the same
  // time, and two ranks may wait as long.
  std::multiset<std::string> lines;
  std::vector<std::string> headings;
  for (const std::string& line : lines_of(text)) {
    const std::size_t indentation = line.find_first_not_of(' ');
    if (indentation == std::string::npos) continue;
    while (!headings.empty() && headings.back().find_first_not_of(' ') >= indentation)
      headings.pop_back();
    headings.push_back(line);
    lines.insert(fmt::format("{}", fmt::join(headings, "\n")));
  }
  for (const std::string& line : lines) EXPECT_EQ(lines.count(line), 1u) << line;
  EXPECT_THAT(text, HasSubstr("epoch 2/2: loss "));
  EXPECT_THAT(text, HasSubstr((reference_.folder / "summary.json").string()));
}

TEST_F(EndToEnd, TheSameSeedGivesTheSameRunAlsoFromAConfigurationFile) {
  const fs::path config = folder() / "job.ini";
  replace_file_text(config, "model = mlp\nepochs = 2\nbatch = 20\nseed = 7\n");
  for (const FinishedRun& again :
       {train("again", usual()), train("configured", {"--config", config.string()})}) {
    ASSERT_EQ(again.outcome.exit_code, 0) << again.outcome.text();
    EXPECT_EQ(again.weights(), reference_.weights());
    EXPECT_EQ(again.loss_curve(), reference_.loss_curve());
  }
}

TEST_F(EndToEnd, AnotherSeedGivesAnotherRun) {
  const FinishedRun other = train("other", usual(2, 8));
  ASSERT_EQ(other.outcome.exit_code, 0) << other.outcome.text();
  EXPECT_NE(other.weights(), reference_.weights());
}

TEST_F(EndToEnd, OneEpochAndThenAnotherAreTwoAtOnce) {
  // Constant, because the cosine schedule depends on the number of epochs that were asked for.
  const auto constant = [](Words options) {
    options.insert(options.end(), {"--lr-schedule", "constant"});
    return options;
  };
  const FinishedRun at_once = train("at-once", constant(usual(2)));
  ASSERT_EQ(train("one-by-one", constant(usual(1))).outcome.exit_code, 0);
  Words further = constant(usual(2));
  further.push_back("--resume");
  const FinishedRun resumed = train("one-by-one", further);
  ASSERT_EQ(resumed.outcome.exit_code, 0) << resumed.outcome.text();
  EXPECT_EQ(resumed.weights(), at_once.weights());
  EXPECT_EQ(resumed.loss_curve(), at_once.loss_curve());
  EXPECT_EQ(resumed.events_named("start").size(), 2u);
}

TEST_F(EndToEnd, AKilledRunGoesOnAsIfNeverStopped) {
  const FinishedRun whole = train("whole", usual(10));
  const fs::path log = folder() / "killed" / "run.jsonl";
  const Words killed_after_an_epoch = {
      "sh", "-c",
      fmt::format("(for i in $(seq 1000); do grep -qs '\"epoch\",' '{}' && kill -KILL $$ && exit; "
                  "sleep 0.02; done) & exec \"$@\"",
                  log.string()),
      "sh"};
  const FinishedRun killed = train("killed", usual(10), killed_after_an_epoch);
  ASSERT_NE(killed.outcome.exit_code, 0) << killed.outcome.text();
  ASSERT_LT(load_checkpoint(folder() / "killed" / "checkpoint.h5").epoch, 10u);
  Words further = usual(10);
  further.push_back("--resume");
  const FinishedRun resumed = train("killed", further);
  ASSERT_EQ(resumed.outcome.exit_code, 0) << resumed.outcome.text();
  EXPECT_EQ(resumed.weights(), whole.weights());
  EXPECT_EQ(resumed.summary.at("test_accuracy"), whole.summary.at("test_accuracy"));
}

TEST_F(EndToEnd, CnnTrainsAndIsEvaluated) {
  const FinishedRun cnn = train("cnn", {"--model", "cnn", "--epochs", "1", "--batch", "30"});
  ASSERT_EQ(cnn.outcome.exit_code, 0) << cnn.outcome.text();
  const double accuracy = cnn.summary.at("test_accuracy").get<double>();
  EXPECT_GT(accuracy, 0.4);
  if (has_card()) {
    EXPECT_NEAR(cnn.summary.at("fpga").at("accuracy").get<double>(), accuracy, 0.03);
  }
}

TEST_F(EndToEnd, EveryVersionIsEvaluatedInEveryFormatOfTheList) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  Words options = usual();
  options.insert(options.end(), {"--fpga-format", "int8,int4,w1a8,fixed8,bfp8", "--within", "100"});
  const FinishedRun run = train("formats", options);
  ASSERT_EQ(run.outcome.exit_code, 0) << run.outcome.text();
  EXPECT_EQ(run.weights(), reference_.weights()) << "evaluations change nothing";
  EXPECT_EQ(run.events_named("broadcast").size(), 10u);
  const Json& fpga = run.summary.at("fpga");
  ASSERT_EQ(fpga.at("retired"), Json::array()) << run.outcome.text();
  ASSERT_EQ(fpga.at("formats").size(), 5u);
  for (const Json& format : fpga.at("formats")) {
    EXPECT_EQ(format.at("evaluations").size(), 2u) << format;
    EXPECT_GT(format.at("accuracy").get<double>(), 0.2) << format;
  }
  EXPECT_EQ(fpga.at("accuracy"), reference_.summary.at("fpga").at("accuracy"));
  EXPECT_EQ(fpga.at("smallest_within"), "w1a8");
  EXPECT_THAT(run.outcome.out, HasSubstr("smallest format within 100 points: w1a8"));
}

TEST_F(EndToEnd, FpgaRanksChooseTheSamplesThatTheGpuRanksTrainOn) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  Words options = usual(4);
  options.insert(options.end(),
                 {"--boost-select", "1/3", "--boost-wait", "--boost-staleness", "9"});
  const FinishedRun run = train("selected", options);
  ASSERT_EQ(run.outcome.exit_code, 0) << run.outcome.text();
  EXPECT_EQ(run.summary.at("steps"), 4 * 10);  // of 60 candidates each
  const Json& fpga = run.summary.at("fpga");
  EXPECT_EQ(fpga.at("selected_samples"), 4 * 10 * 20);
  EXPECT_EQ(fpga.at("late"), 0);
  EXPECT_EQ(fpga.at("staleness").at("max"), 9);
  EXPECT_EQ(run.events_named("boost").size(), 4u);
  const FinishedRun again = train("selected-again", options);
  EXPECT_EQ(again.weights(), run.weights());
  EXPECT_THAT(run.outcome.out, HasSubstr("40 of 40 steps by rank (int8), 0 late"));
}

TEST_F(EndToEnd, NobodyWaitsForScoresUnlessAsked) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  Words options = usual(4);
  options.insert(options.end(), {"--boost-select", "0.5"});
  const FinishedRun run = train("unhurried", options);
  ASSERT_EQ(run.outcome.exit_code, 0) << run.outcome.text();
  const Json& select = run.summary.at("fpga").at("boost").at("select");
  EXPECT_EQ(select.at("steps").get<int>() + select.at("late").get<int>(),
            run.summary.at("steps").get<int>());
}

TEST_F(EndToEnd, QuantisationAwareTrainingSeesWhatTheFpgaComputes) {
  const FinishedRun run = train(
      "qat", {"--model", "sfc", "--qat", "w8a8", "--epochs", "3", "--batch", "20", "--lr", "0.02"});
  ASSERT_EQ(run.outcome.exit_code, 0) << run.outcome.text();
  EXPECT_EQ(run.summary.at("qat"), "w8a8, learned steps");
  EXPECT_EQ(run.events.front().at("qat"), "w8a8, learned steps");
  const double accuracy = run.summary.at("test_accuracy").get<double>();
  EXPECT_GT(accuracy, 0.4);
  if (has_card()) {
    EXPECT_NEAR(run.summary.at("fpga").at("accuracy").get<double>(), accuracy, 0.0101);
  }
  const fs::path out = folder() / "qat.h5";
  const Outcome inferred = dovetail({"infer", "--checkpoint", run.folder / "checkpoint.h5",
                                     "--data", data(), "--format", "float32", "--out", out})
                               .run(job_limit_s);
  ASSERT_EQ(inferred.exit_code, 0) << inferred.text();
  const auto predicted = hdf5::File::open(out).read<std::int32_t>("/labels");
  EXPECT_DOUBLE_EQ(static_cast<double>(hits(predicted, labels())) / test_samples, accuracy);
}

TEST_F(EndToEnd, Float32PredictionsAreThoseOfTheLastValidation) {
  const hdf5::File one = infer(1, "float32");
  const hdf5::File two = infer(2, "float32");
  const auto predicted = two.read<std::int32_t>("/labels");
  EXPECT_EQ(two.dataset("/logits").extents(), (hdf5::Extents{test_samples, 10}));
  EXPECT_EQ(two.dataset("/labels").extents(), (hdf5::Extents{test_samples}));
  EXPECT_DOUBLE_EQ(static_cast<double>(hits(predicted, labels())) / test_samples,
                   reference_.summary.at("test_accuracy").get<double>());
  EXPECT_EQ(one.read<std::int32_t>("/labels"), predicted);
  EXPECT_EQ(one.read<float>("/logits"), two.read<float>("/logits"));
}

TEST_F(EndToEnd, Float32PredictionsWithBatchNormsAreThoseOfTheTrainingPlan) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  Checkpoint checkpoint = load_checkpoint(reference_.folder / "checkpoint.h5");
  const TrainedModel net =
      with_random_norms(make_model("vgg-small", checkpoint.input, checkpoint.classes), seed);
  checkpoint.model = net.model.name();
  checkpoint.parameters = net.parameters;
  checkpoint.statistics = net.statistics;
  checkpoint.optimizer_state = {net.parameters};  // SGD's momenta
  checkpoint.calibration.clear();
  checkpoint.histograms.clear();
  const fs::path file = folder() / "norms.h5", out = folder() / "norms-predictions.h5";
  save_checkpoint(file, checkpoint);
  const Outcome inferred = dovetail({"infer", "--checkpoint", file, "--data", data(), "--format",
                                     "float32", "--out", out})
                               .run(job_limit_s);
  ASSERT_EQ(inferred.exit_code, 0) << inferred.text();
  const auto logits = hdf5::File::open(out).read<float>("/logits");

  const std::size_t few = 8;
  Plan plan(test_device(), net.model, checkpoint.input_statistics, {.batch = few});
  plan.load_parameters(net.parameters);
  plan.load_statistics(net.statistics);
  const auto images = hdf5::File::open(data() / "test-00000.h5").read<std::uint8_t>("/images");
  const std::vector<float> expected =
      plan.infer(std::span(images).first(few * images.size() / test_samples), few);
  double largest = 1;
  for (const float value : expected) largest = std::max(largest, std::abs(double(value)));
  ASSERT_EQ(logits.size(), test_samples * 10);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(logits[i], expected[i], 2e-4 * largest) << "logit " << i;
}

TEST_F(EndToEnd, Int8PredictionsAreThoseOfTheLastEvaluation) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  const hdf5::File file = infer(2, "int8");
  const auto predicted = file.read<std::int32_t>("/labels");
  const auto logits = file.read<float>("/logits");
  ASSERT_EQ(logits.size(), test_samples * 10);
  for (std::size_t i = 0; i < test_samples; ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * 10);
    EXPECT_EQ(std::max_element(row, row + 10) - row, predicted[i]) << "sample " << i;
  }
  EXPECT_DOUBLE_EQ(static_cast<double>(hits(predicted, labels())) / test_samples,
                   reference_.summary.at("fpga").at("accuracy").get<double>());
}

TEST_F(EndToEnd, FourBitsAreCloseToFloat32) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  const auto predicted = infer(1, "int4").read<std::int32_t>("/labels");
  EXPECT_NEAR(static_cast<double>(hits(predicted, labels())) / test_samples,
              reference_.summary.at("test_accuracy").get<double>(), 0.05);
}

TEST_F(EndToEnd, PublishedVersionsAreCalibratedAsAsked) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  const std::string calibration = "percentile:70";  // cuts off enough to be seen
  Words options = usual();
  options.insert(options.end(), {"--fpga-format", "int4", "--calibration", calibration});
  const FinishedRun run = train("calibrated", options);
  ASSERT_EQ(run.outcome.exit_code, 0) << run.outcome.text();
  EXPECT_EQ(run.weights(), reference_.weights());
  const hdf5::File cut = infer(1, "int4", calibration);
  EXPECT_NE(cut.read<float>("/logits"), infer(1, "int4").read<float>("/logits"));
  EXPECT_DOUBLE_EQ(
      static_cast<double>(hits(cut.read<std::int32_t>("/labels"), labels())) / test_samples,
      run.summary.at("fpga").at("accuracy").get<double>());
}

TEST_F(EndToEnd, AJobOfOneRankNeedsNoMpirun) {
  const fs::path out = folder() / "alone";
  Words words{"train", "--data", data(), "--out", out};
  for (const std::string& word : usual(1)) words.push_back(word);
  const Outcome outcome = dovetail(words).run(job_limit_s);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
  const Json summary = Json::parse(read_file(out / "summary.json"));
  EXPECT_EQ(summary.at("ranks").size(), 1u);
  EXPECT_EQ(summary.at("fpga").at("backend"), "none");
}

}  // namespace
}  // namespace dovetail::testing
