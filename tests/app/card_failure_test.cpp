// Whatever fails about a card, whatever it does for the job, and however many cards there are: the
// job goes on without it, or ends, as it was told to. In one line each, and never by hanging: a job
// that does not end in time fails its test.
#include <cmath>
#include <set>

#include "app/refusal.hpp"
#include "support/json.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::testing {
namespace {

/// A fault of the emulated card (hls/card/faults.hpp), and what its line says. It strikes early
/// enough that every job meets it: two epochs are evaluated, whatever else there is to do.
struct Fault {
  const char* name;
  const char* kind;
  const char* what;
};
constexpr Fault faults[] = {{"AFailedLaunch", "fail:1", "failed: the card reports an error"},
                            {"AHang", "hang:2", "has not returned within 1 s"},
                            {"AFailedAllocation", "alloc:2", "no room"},
                            {"ACorruptReadback", "corrupt:1", "corrupt readback"},
                            {"ACardThatIsGone", "gone:3", "No such device"}};

/// What the FPGA ranks do beside evaluating each epoch's weights.
struct Duty {
  const char* name;
  Words options;
  bool in_lock_step = false;
};
const Duty evaluation{"EvaluationAlone", {}};
const Duty gradients{
    "Gradients", {"--boost", "1/2", "--boost-wait", "--boost-staleness", "0"}, true};
const Duty selection{
    "Selection", {"--boost-select", "1/2", "--boost-wait", "--boost-staleness", "0"}, true};
const Duty both_boosts{
    "BothBoosts",
    {"--boost", "1/4", "--boost-select", "1/2", "--boost-wait", "--boost-staleness", "0"},
    true};
const Duty gradients_in_time{"GradientsInTime", {"--boost", "1/2"}};
const Duty selection_in_time{"SelectionInTime", {"--boost-select", "1/2"}};

std::string name_of(const ::testing::TestParamInfo<std::tuple<Fault, Duty>>& info) {
  return std::string(std::get<Fault>(info.param).name) + "During" + std::get<Duty>(info.param).name;
}

class CardFailure : public Refusal {
 protected:
  void SetUp() override {
    if (std::string(DOVETAIL_EMULATED_CARD_FOLDER).empty())
      GTEST_SKIP() << "this build has no emulated card";
    Refusal::SetUp();
  }

  /// Puts the fault into the cards of some ranks alone.
  static Words launcher(const std::set<int>& ranks, const Fault& fault) {
    return {"sh", "-c",
            fmt::format("case $OMPI_COMM_WORLD_RANK in {}) export DOVETAIL_CARD_FAULT={};; esac; "
                        "exec \"$@\"",
                        fmt::join(ranks, "|"), fault.kind),
            "sh"};
  }
  /// The FPGA ranks are the last ones.
  struct Ranks {
    int gpus, cards;
    std::set<int> failing;
    bool is_one_left() const { return static_cast<int>(failing.size()) < cards; }
  };
  Outcome train_with(const Ranks& ranks, const Fault& fault, Words options) const {
    const Words more{"--fpga-timeout", "1",
                     "--gpu-ranks",    std::to_string(ranks.gpus),
                     "--fpga-ranks",   std::to_string(ranks.cards)};
    options.insert(options.end(), more.begin(), more.end());
    return dovetail_job(ranks.gpus + ranks.cards, train(options), launcher(ranks.failing, fault))
        .run(patiently_s);
  }
  Json summary() const { return Json::parse(read_file(run() / "summary.json")); }

  /// One warning for each rank that fails, which names it, its card and what happened to it. Others
  /// may say that its boosts were late, by how far the job had come.
  static void expect_warnings(const Outcome& outcome, const Ranks& ranks, const Fault& fault) {
    const std::vector<std::string> lines =
        errors_beginning(outcome, "warning: dovetail train: an FPGA rank retires");
    ASSERT_EQ(lines.size(), ranks.failing.size()) << outcome.text();
    std::set<int> named;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      EXPECT_THAT(lines[i], HasSubstr(fmt::format("an FPGA rank retires, training goes on with {} "
                                                  "of them: rank ",
                                                  ranks.cards - 1 - static_cast<int>(i))));
      EXPECT_THAT(lines[i], HasSubstr(fault.what));
      for (const int rank : ranks.failing) {
        if (lines[i].find(fmt::format(": rank {} on ", rank)) == std::string::npos) continue;
        named.insert(rank);
        EXPECT_THAT(lines[i], HasSubstr(fmt::format(": card {} (dovetail_emulated_card)",
                                                    rank - ranks.gpus)));
      }
    }
    EXPECT_EQ(named, ranks.failing) << outcome.text();
  }

  /// The job did what it was asked to, without the ranks that failed.
  void expect_done(const Outcome& outcome, const Ranks& ranks, const Fault& fault,
                   const Duty& duty) const {
    ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
    EXPECT_FALSE(outcome.timed_out || outcome.left_behind) << outcome.text();
    EXPECT_TRUE(errors_beginning(outcome, "dovetail").empty()) << outcome.text();
    expect_warnings(outcome, ranks, fault);
    const Json summary = this->summary();
    EXPECT_EQ(summary.at("status"), "done");
    EXPECT_EQ(summary.at("epochs"), 2);
    EXPECT_TRUE(std::isfinite(summary.at("train_loss").get<double>()));
    EXPECT_TRUE(std::isfinite(summary.at("test_accuracy").get<double>()));
    EXPECT_EQ(summary.at("ranks").size(), static_cast<std::size_t>(ranks.gpus + ranks.cards));
    const Json& fpga = summary.at("fpga");
    EXPECT_EQ(fpga.at("retired").size(), ranks.failing.size());
    for (const Json& reason : fpga.at("retired"))
      EXPECT_THAT(reason.get<std::string>(), HasSubstr(fault.what));
    EXPECT_EQ(load_checkpoint(checkpoint()).epoch, 2u);
    if (ranks.is_one_left()) expect_all_evaluated(fpga);
    expect_all_samples(summary, duty, ranks.is_one_left());
  }

  /// Those that are left take over the whole test set.
  static void expect_all_evaluated(const Json& fpga) {
    ASSERT_EQ(fpga.at("evaluations").size(), 2u);
    for (const Json& each : fpga.at("evaluations")) EXPECT_EQ(each.at("samples"), 40) << each;
  }

  /// Every sample of an epoch is trained on by a GPU rank, or contributed, or counted as missing.
  static void expect_all_samples(const Json& summary, const Duty& duty, bool is_one_left) {
    const Json& boost = summary.at("fpga").at("boost");
    std::uint64_t trained = 0;
    for (const Json& rank : summary.at("ranks"))
      if (rank.at("role") == "gpu") trained += rank.at("samples").get<std::uint64_t>();
    std::uint64_t missing = 0;
    if (boost.contains("gradients")) {
      trained += boost.at("gradients").at("samples").get<std::uint64_t>();
      missing = boost.at("gradients").at("missing").get<std::uint64_t>();
      if (duty.in_lock_step && is_one_left) {
        EXPECT_EQ(missing, 0u) << "the other card takes over";
      }
    }
    if (boost.contains("select")) {
      const Json& select = boost.at("select");
      EXPECT_EQ(select.at("steps").get<int>() + select.at("late").get<int>(),
                summary.at("steps").get<int>());
      if (duty.in_lock_step && is_one_left) {
        EXPECT_EQ(select.at("late"), 0) << "the other card takes over";
      }
    } else {
      EXPECT_EQ(trained + missing, 2 * 120u) << summary;
    }
  }
};

using Case = std::tuple<Fault, Duty>;
class CardFailureOf : public CardFailure, public ::testing::WithParamInterface<Case> {
 protected:
  void fails_without_harm(const Ranks& ranks) const {
    const auto& [fault, duty] = GetParam();
    expect_done(train_with(ranks, fault, duty.options), ranks, fault, duty);
  }
};

class OnlyCard : public CardFailureOf {};
TEST_P(OnlyCard, LeavesTheGpuRanks) {
  fails_without_harm({2, 1, {2}});
}
INSTANTIATE_TEST_SUITE_P(Has, OnlyCard,
                         ::testing::Combine(::testing::ValuesIn(faults),
                                            ::testing::Values(evaluation, gradients, selection,
                                                              both_boosts, gradients_in_time,
                                                              selection_in_time)),
                         name_of);

class OneOfTwoCards : public CardFailureOf {};
TEST_P(OneOfTwoCards, LeavesItsShareToTheOther) {
  fails_without_harm({1, 2, {2}});
}
INSTANTIATE_TEST_SUITE_P(Has, OneOfTwoCards,
                         ::testing::Combine(::testing::ValuesIn(faults),
                                            ::testing::Values(evaluation, gradients, selection,
                                                              both_boosts, gradients_in_time,
                                                              selection_in_time)),
                         name_of);

class BothCards : public CardFailureOf {};
TEST_P(BothCards, LeaveTheGpuRanks) {
  fails_without_harm({1, 2, {1, 2}});
}
INSTANTIATE_TEST_SUITE_P(Have, BothCards,
                         ::testing::Combine(::testing::ValuesIn(faults),
                                            ::testing::Values(evaluation, gradients, selection,
                                                              both_boosts)),
                         name_of);

class CardWithoutSpare : public CardFailureOf {};
TEST_P(CardWithoutSpare, EndsTheJob) {
  const auto& [fault, duty] = GetParam();
  Words options = duty.options;
  options.insert(options.end(), {"--fpga-failure", "abort"});
  expect_one_line(train_with({1, 2, {2}}, fault, options), failure,
                  {"dovetail train: rank 2 on ", "emulated FPGA", "card 1", fault.what});
  const Json summary = this->summary();
  EXPECT_EQ(summary.at("status"), "failed");
  EXPECT_THAT(summary.at("error").get<std::string>(), HasSubstr(fault.what));
  EXPECT_NO_THROW(load_checkpoint(checkpoint()));
}
INSTANTIATE_TEST_SUITE_P(Has, CardWithoutSpare,
                         ::testing::Combine(::testing::ValuesIn(faults),
                                            ::testing::Values(evaluation, gradients, selection)),
                         name_of);

/// Cards that fail alike, as in a host whose driver is gone, end the job in the words of one rank.
TEST_F(CardFailure, OfAllCardsEndsTheJobInOneLine) {
  const Fault& gone = faults[4];
  const Outcome outcome =
      train_with({1, 3, {1, 2, 3}}, gone, {"--fpga-failure", "abort", "--fpga-format", "int8"});
  expect_one_line(outcome, failure, {"dovetail train: rank ", "emulated FPGA", gone.what});
  const Words words = infer({"--format", "int8"});
  expect_one_line(dovetail_job(3, words, launcher({1, 2}, gone)).run(patiently_s), failure,
                  {"dovetail infer: rank ", "emulated FPGA", gone.what});
}

/// Within a step, later ones too: at scores, step sizes, weight sums, bias sums.
TEST_F(CardFailure, StrikesWhereverInAStep) {
  const Ranks ranks{2, 1, {2}};
  for (const auto& [kind, fault, duty] : {std::tuple{"hang:9", 1, selection},
                                          {"gone:12", 4, selection},
                                          {"corrupt:2", 3, selection},
                                          {"corrupt:7", 3, gradients},
                                          {"corrupt:9", 3, gradients}}) {
    SCOPED_TRACE(kind);
    const Fault later{"", kind, faults[fault].what};
    expect_done(train_with(ranks, later, duty.options), ranks, later, duty);
  }
}

/// A rank that has retired has nothing to do, for as long as the others train: that is no stall.
TEST_F(CardFailure, LeavesARankThatIsIdle) {
  const fs::path file = run() / "trace.json";
  const Ranks ranks{1, 1, {1}};
  const Outcome outcome = train_with(ranks, faults[0], {"--timeline", file});
  expect_done(outcome, ranks, faults[0], evaluation);
  const Json trace = Json::parse(read_file(file));
  std::set<std::string> phases;
  for (const Json& event : trace.at("traceEvents"))
    if (event.value("pid", 0) == 1 && event.value("ph", "") == "X")
      phases.insert(event.at("name").get<std::string>());
  EXPECT_EQ(phases.count("retired"), 1u) << fmt::format("{}", fmt::join(phases, " "));
}

class InferringCard : public CardFailure, public ::testing::WithParamInterface<Fault> {};
TEST_P(InferringCard, EndsTheJob) {
  const fs::path out = run() / "predictions.h5";
  const Fault& fault = GetParam();
  const auto words = [&](const char* format) {
    return infer({"--format", format, "--fpga-timeout", "1", "--out", out});
  };
  refused(dovetail(words("int8")).with("DOVETAIL_CARD_FAULT", fault.kind), failure,
          {"dovetail infer: emulated FPGA", "card 0 (dovetail_emulated_card)", fault.what});
  refused(dovetail_job(2, words("fixed8"), launcher({1}, fault)), failure,
          {"dovetail infer: rank 1 on ", "card 1 (dovetail_emulated_card)", fault.what});
  EXPECT_FALSE(fs::exists(out));
}
INSTANTIATE_TEST_SUITE_P(Has, InferringCard, ::testing::ValuesIn(faults),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace dovetail::testing
