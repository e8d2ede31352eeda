// The timeline of a whole job: two GPU ranks that train, an FPGA rank that scores, in one trace.
#include <gmock/gmock.h>

#include <cstdlib>
#include <map>
#include <set>

#include "app/end_to_end.hpp"

namespace dovetail::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

constexpr std::uint64_t first_step = 3, last_step = 12;
constexpr double rounding_us = 0.0015;
constexpr double slack_us = 200;  // for clocks that run apart between two comparisons

struct Span {
  int rank = 0, lane = 0;
  double begin = 0, end = 0;  // microseconds
  std::string name, category, part;
  std::uint64_t step = 0, bytes = 0;
  int bucket = -1;
};

/// A trace, as a viewer reads it.
struct Trace {
  std::map<int, std::string> ranks;
  std::map<std::pair<int, int>, std::string> lanes;
  std::vector<Span> spans;
  Json about;

  explicit Trace(const Json& document) : about(document.at("otherData")) {
    for (const Json& event : document.at("traceEvents")) {
      const int rank = event.at("pid"), lane = event.at("tid");
      const Json& more = event.at("args");
      if (event.at("name") == "process_name") ranks[rank] = more.at("name");
      if (event.at("name") == "thread_name") lanes[{rank, lane}] = more.at("name");
      if (event.at("ph") != "X") continue;
      const double begin = event.at("ts"), length = event.at("dur");
      spans.push_back({rank, lane, begin, begin + length, event.at("name"), event.at("cat"),
                       more.value("part", ""), more.at("step"), more.value("bytes", 0u),
                       more.value("bucket", -1)});
    }
  }
  std::vector<Span> of(int rank, const std::string& category) const {
    std::vector<Span> found;
    for (const Span& span : spans) {
      if (span.rank == rank && span.category == category) found.push_back(span);
    }
    return found;
  }
};

class TimelineJob : public EndToEnd {
 protected:
  static void SetUpTestSuite() {
    EndToEnd::SetUpTestSuite();
    Words with = options();
    with.insert(with.end(), {"--timeline", file(), "--timeline-steps",
                             fmt::format("{}:{}", first_step, last_step)});
    run_ = train("timed", with);
    if (run_.outcome.exit_code == 0) trace_.emplace(Json::parse(read_file(file())));
  }
  static void TearDownTestSuite() {
    run_ = {};
    trace_.reset();
    EndToEnd::TearDownTestSuite();
  }
  void SetUp() override { ASSERT_TRUE(trace_) << run_.outcome.text(); }

  static fs::path file() { return folder() / "traces" / "trace.json"; }
  static Words options() {
    return {"--model", "cnn",    "--batch", "20",          "--epochs",
            "2",       "--seed", "5",       "--bucket-mb", "0.25"};
  }
  static std::vector<int> gpu_ranks() { return {0, 1}; }

  inline static FinishedRun run_;
  inline static std::optional<Trace> trace_;
};

TEST_F(TimelineJob, ChangesNothingElse) {
  const FinishedRun plain = train("plain", options());
  EXPECT_EQ(run_.weights(), plain.weights());
  EXPECT_EQ(run_.loss_curve(), plain.loss_curve());
  EXPECT_EQ(run_.summary.size(), plain.summary.size());
  EXPECT_THAT(run_.outcome.out, HasSubstr(file().string()));
  EXPECT_EQ(run_.outcome.err, "");
  EXPECT_THAT(plain.outcome.out, ::testing::Not(HasSubstr("timeline")));
}

TEST_F(TimelineJob, ShowsAllRanksWithinTheRun) {
  ASSERT_EQ(trace_->ranks.size(), has_card() ? 3u : 2u);
  for (const auto& [rank, name] : trace_->ranks)
    EXPECT_THAT(name, HasSubstr(fmt::format("rank {} {}", rank, rank < 2 ? "gpu" : "fpga")));
  for (const Span& span : trace_->spans) {
    EXPECT_GE(span.begin, 0);
    EXPECT_LE(span.begin, span.end);
    EXPECT_LE(span.end, 1e6 * run_.outcome.seconds);
  }
  EXPECT_EQ(trace_->about.at("dropped_spans"), 0);
  for (const Json& clock : trace_->about.at("clocks"))
    for (const Json& offset : clock.at("offset_ns")) EXPECT_EQ(offset, 0);  // one host
}

TEST_F(TimelineJob, SpansOfALaneNestProperly) {
  std::map<std::pair<int, int>, std::vector<Span>> open;
  for (const Span& span : trace_->spans) {  // by lane, then by begin
    std::vector<Span>& enclosing = open[{span.rank, span.lane}];
    while (!enclosing.empty() && enclosing.back().end <= span.begin + rounding_us)
      enclosing.pop_back();
    if (!enclosing.empty()) {
      ASSERT_LE(span.end, enclosing.back().end + rounding_us)
          << trace_->lanes[{span.rank, span.lane}] << ": " << span.name << " of step " << span.step
          << " leaves " << enclosing.back().name;
    }
    enclosing.push_back(span);
  }
}

TEST_F(TimelineJob, EveryStepHasItsPhases) {
  for (const int rank : gpu_ranks()) {
    std::map<std::uint64_t, Span> steps;
    for (const Span& span : trace_->of(rank, "step")) steps[span.step] = span;
    ASSERT_EQ(steps.size(), last_step - first_step + 1);
    EXPECT_EQ(steps.begin()->first, first_step);
    std::map<std::uint64_t, std::vector<std::string>> phases;
    for (const char* category : {"work", "waiting", "input"}) {
      for (const Span& span : trace_->of(rank, category)) {
        if (span.lane != 0 || !steps.contains(span.step)) continue;
        if (span.name == "poll") continue;  // between two steps
        EXPECT_GE(span.begin, steps[span.step].begin - rounding_us);
        EXPECT_LE(span.end, steps[span.step].end + rounding_us);
        phases[span.step].push_back(span.name);
      }
    }
    for (const auto& [step, names] : phases)
      EXPECT_THAT(names, IsSupersetOf({"input", "compute", "all-reduce", "update"})) << step;
    std::size_t read = 0;
    for (const Span& span : trace_->of(rank, "input")) read += span.name == "read batch" ? 1 : 0;
    EXPECT_GE(read, steps.size() - 2);  // two batches are read ahead
  }
}

TEST_F(TimelineJob, EveryLayersKernelsLieInTheirStep) {
  std::set<std::string> wanted{"loss", "update"};  // conv1 makes its input itself
  for (const char* layer : {"conv1", "conv2", "dense1", "dense2"}) {
    for (const char* pass : {"forward", "backward"})
      wanted.insert(fmt::format("{} {}", layer, pass));
  }
  for (const int rank : gpu_ranks()) {
    const double tolerance_us = slack_us + 1e-3 * trace_->about.at("clocks")
                                                      .at(static_cast<std::size_t>(rank))
                                                      .at("device_uncertainty_ns")
                                                      .get<double>();
    std::map<std::uint64_t, Span> steps;
    for (const Span& span : trace_->of(rank, "step")) steps[span.step] = span;
    std::map<std::uint64_t, std::map<std::string, int>> kernels;  // by step: part and name
    std::map<std::uint64_t, std::set<std::string>> parts;
    for (const Span& span : trace_->of(rank, "kernel")) {
      ASSERT_TRUE(steps.contains(span.step)) << span.name << " of step " << span.step;
      ++kernels[span.step][span.part + ": " + span.name];
      parts[span.step].insert(span.part);
      EXPECT_GE(span.begin, steps[span.step].begin - tolerance_us) << span.part;
      if (span.part == "update") continue;  // goes on while the next step begins
      EXPECT_LE(span.end, steps[span.step].end + tolerance_us) << span.part;
    }
    ASSERT_EQ(kernels.size(), steps.size());
    for (const auto& [step, counts] : kernels) {
      EXPECT_EQ(counts, kernels.begin()->second) << "step " << step;
      EXPECT_THAT(parts[step], IsSupersetOf(wanted));
    }
    // A convolution may have its pool within: pooled_forward, masked_weight_gradient.
    const auto count = [&](const std::string& part, const std::string& kernel) {
      int found = 0;
      for (const auto& [name, times] : kernels.begin()->second) {
        for (const char* fusion : {"", "pooled_", "masked_"})
          found += name.starts_with(part + ": " + fusion + kernel) ? times : 0;
      }
      return found;
    };
    for (const std::string layer : {"conv1", "conv2", "dense1", "dense2"}) {
      EXPECT_EQ(count(layer + " forward", "forward"), 1) << layer;
      EXPECT_EQ(count(layer + " backward", "weight_gradient"), 1) << layer;
      EXPECT_EQ(count(layer + " backward", "input_gradient"), layer == "conv1" ? 0 : 1) << layer;
    }
    EXPECT_EQ(count("loss", "softmax_cross_entropy"), 1);
    EXPECT_EQ(count("update", ""), 1);
  }
}

TEST_F(TimelineJob, EveryBucketIsCopiedAndSummedOnceAStep) {
  for (const int rank : gpu_ranks()) {
    std::map<std::uint64_t, std::map<int, int>> sums;  // by step and bucket
    std::map<std::uint64_t, std::uint64_t> bytes;
    for (const Span& span : trace_->of(rank, "reduce")) {
      if (span.name != "sum") continue;
      ++sums[span.step][span.bucket];
      bytes[span.step] += span.bytes;
      EXPECT_EQ((trace_->lanes[{rank, span.lane}]), fmt::format("sum of bucket {}", span.bucket));
    }
    ASSERT_EQ(sums.size(), last_step - first_step + 1);
    const std::size_t buckets = sums.begin()->second.size();
    EXPECT_GE(buckets, 3u);
    for (const auto& [step, counts] : sums) {
      ASSERT_EQ(counts.size(), buckets);
      EXPECT_EQ(counts.rbegin()->first, static_cast<int>(buckets) - 1);
      for (const auto& [bucket, count] : counts) EXPECT_EQ(count, 1) << bucket;
      EXPECT_EQ(bytes[step], bytes.begin()->second);
    }
    // 421,642 parameters of cnn on 28 × 28 images, and some room between them.
    EXPECT_GE(bytes.begin()->second, 421642 * sizeof(float));
    EXPECT_LE(bytes.begin()->second, 440000 * sizeof(float));
    std::map<std::uint64_t, std::set<int>> handed_over;
    for (const Span& span : trace_->of(rank, "copy")) {
      if (span.bucket >= 0) handed_over[span.step].insert(span.bucket);
    }
    for (const auto& [step, counts] : sums) EXPECT_EQ(handed_over[step].size(), buckets) << step;
  }
}

TEST_F(TimelineJob, WhatLastsForManyStepsIsShownThroughout) {
  std::map<std::string, int> lead;
  for (const char* category : {"work", "waiting"}) {
    for (const Span& span : trace_->of(0, category)) {
      if (span.lane == 0 && span.step >= 30) ++lead[span.name];
    }
  }
  for (const char* phase : {"validate", "calibrate", "checkpoint"})
    EXPECT_GE(lead[phase], 2) << phase;  // two epochs
  if (has_card()) {
    EXPECT_GE(lead["publish"], 2);
  }
}

TEST_F(TimelineJob, TheCardsKernelsAreThoseOfTheFirstEvaluationBehindTheWindow) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  std::map<std::string, std::set<std::string>> layers;  // by kernel
  for (const Span& span : trace_->of(2, "kernel")) {
    EXPECT_EQ(span.step, 30u);
    EXPECT_THAT((trace_->lanes[{2, span.lane}]), HasSubstr("emulated"));
    layers[span.name].insert(span.part);
  }
  EXPECT_EQ(layers["conv2d_w8"], (std::set<std::string>{"conv1", "conv2"}));
  EXPECT_EQ(layers["dense_w8"], (std::set<std::string>{"dense1", "dense2"}));
  EXPECT_EQ(layers.count("max_pool"), 1u);
  EXPECT_EQ(layers.count("quantise_input"), 1u);
  std::map<std::string, int> phases;
  for (const char* category : {"work", "waiting"})
    for (const Span& span : trace_->of(2, category)) ++phases[span.name];
  EXPECT_GE(phases["evaluate"], 2);
  EXPECT_GE(phases["idle"], 1);
  EXPECT_FALSE(trace_->of(2, "copy").empty());
}

TEST_F(TimelineJob, AnotherHostsClockIsToldInTheLeads) {
  // A time namespace stands for another host: rank 1's steady clock is 5,000 s ahead.
  const std::string elsewhere = "unshare --time --monotonic 5000 --fork";
  if (std::system((elsewhere + " true 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "this system makes no time namespaces here";
  const fs::path out = folder() / "apart.json";
  const FinishedRun run = train(
      "apart", {"--model", "mlp", "--batch", "20", "--epochs", "1", "--timeline", out},
      {"sh", "-c",
       fmt::format("[ \"$OMPI_COMM_WORLD_RANK\" = 1 ] || exec \"$@\"; exec {} \"$@\"", elsewhere),
       "sh"});
  ASSERT_EQ(run.outcome.exit_code, 0) << run.outcome.text();
  const Trace trace(Json::parse(read_file(out)));
  const Json& clock = trace.about.at("clocks").at(1);
  double tolerance_us = 1;
  for (const std::size_t i : {0u, 1u}) {
    const double uncertainty_ns = clock.at("uncertainty_ns").at(i);
    EXPECT_NEAR(clock.at("offset_ns").at(i).get<double>(), -5000e9, uncertainty_ns + 1000);
    tolerance_us = std::max(tolerance_us, 1 + 1e-3 * uncertainty_ns);
  }
  // In each step each rank waits for what the other one brings.
  const std::vector<Span> lead = trace.of(0, "step"), other = trace.of(1, "step");
  ASSERT_EQ(lead.size(), 30u);
  ASSERT_EQ(other.size(), lead.size());
  for (std::size_t step = 0; step < lead.size(); ++step) {
    EXPECT_LE(lead[step].begin, other[step].end + tolerance_us) << step;
    EXPECT_LE(other[step].begin, lead[step].end + tolerance_us) << step;
  }
}

}  // namespace
}  // namespace dovetail::testing
