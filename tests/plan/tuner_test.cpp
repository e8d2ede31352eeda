// Choices by measurement on a real device: the faster of two, never a wrong one, and once only.
#include "plan/tuner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <optional>

#include "device/test_device.hpp"
#include "plan/conv_problem.hpp"
#include "plan/dense_problem.hpp"
#include "plan/fixture.hpp"
#include "support/activity.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

using namespace testing;
using plan::Tuner;
using Origin = Tuner::Origin;

/// A device with a cache of its own.
struct Host {
  explicit Host(const std::filesystem::path& folder)
      : device(test_device_index(), std::make_shared<CacheFolder>(folder)) {}
  opencl::Device device;
};

/// Launches of very different cost: products of one shape, once or twenty times.
class TunerTest : public ::testing::Test {
 protected:
  TunerTest() : host_(scratch_ / "cache") {
    const Variant variant = variant_for(host_.device);
    matmul_ = std::make_shared<Matmul>(host_.device, variant, MatmulShape{.in = 256, .out = 128});
    problem_.emplace(host_.device, MatmulShape{.in = 256, .out = 128}, 64, ComputeFormat::float32,
                     Direction::forward);
  }

  Tuner::Trial trial(int launches) {
    const Tuner::Trial once = problem_->trial(matmul_);
    return {[=] {
              for (int i = 0; i < launches; ++i) once.enqueue();
            },
            once.fault};
  }
  /// Candidate i launches `launches[i]` times.
  std::size_t choose(Tuner& tuner, const std::vector<int>& launches,
                     const std::string& problem = "a product") {
    std::vector<Tuner::Candidate> candidates;
    for (const int count : launches) candidates.push_back({fmt::format("{} launches", count)});
    return tuner.choose(problem, candidates, [&](std::size_t i) {
      ++prepared_;
      return trial(launches[i]);
    });
  }

  ScratchFolder scratch_;
  Host host_;
  std::shared_ptr<Matmul> matmul_;
  std::optional<plan::DenseProblem> problem_;
  int prepared_ = 0;
};

TEST_F(TunerTest, TakesTheFasterOneWhereverItStands) {
  Tuner tuner(host_.device);
  EXPECT_EQ(choose(tuner, {20, 1}, "last"), 1u);
  EXPECT_EQ(choose(tuner, {1, 20}, "first"), 0u);
  EXPECT_EQ(choose(tuner, {20, 1, 20}, "middle"), 1u);
  ASSERT_EQ(tuner.choices().size(), 3u);
  const Tuner::Choice& choice = tuner.choices().front();
  EXPECT_EQ(choice.origin, Origin::measured);
  EXPECT_EQ(choice.kernels, "1 launches");
  EXPECT_GT(choice.seconds.at("20 launches"), 3 * choice.seconds.at("1 launches"));
  EXPECT_EQ(tuner.to_json().at("first"), "1 launches");
  EXPECT_NE(tuner.to_text().find("middle"), std::string::npos);
}

TEST_F(TunerTest, RemembersForTheNextStart) {
  Tuner first(host_.device), second(host_.device);
  EXPECT_EQ(choose(first, {20, 1}), 1u);
  EXPECT_EQ(prepared_, 2);
  EXPECT_EQ(choose(second, {20, 1}), 1u);
  EXPECT_EQ(prepared_, 2) << "it was measured again";
  EXPECT_EQ(second.choices().front().origin, Origin::remembered);
  EXPECT_EQ(choose(second, {1, 20}, "another product"), 0u);
  EXPECT_EQ(second.choices().back().origin, Origin::measured);
}

TEST_F(TunerTest, MeasuresAnewWhereTheMemoryIsDamagedOrNamesNoCandidate) {
  const auto origin = [&](const std::vector<int>& launches) {
    Tuner tuner(host_.device);
    EXPECT_EQ(choose(tuner, launches), 1u);
    return tuner.choices().back().origin;
  };
  EXPECT_EQ(origin({20, 1}), Origin::measured);
  for (const auto& entry : std::filesystem::directory_iterator(scratch_ / "cache"))
    std::ofstream(entry.path(), std::ios::app) << "damage";
  EXPECT_EQ(origin({20, 1}), Origin::measured);
  EXPECT_EQ(origin({20, 1}), Origin::remembered);
  EXPECT_EQ(origin({20, 2}), Origin::measured) << "what it remembers is no candidate";
}

// As a file that another program, or a version with other kernels, left under this one's name.
TEST_F(TunerTest, AForeignEntryIsMadeAnew) {
  Tuner first(host_.device);
  choose(first, {20, 1});
  const auto entries = [&] {  // of choices: devices may keep built programs beside them
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_ / "cache")) {
      if (entry.path().filename().string().starts_with("choice-")) found.push_back(entry.path());
    }
    return found;
  };
  ASSERT_EQ(entries().size(), 1u);
  const std::filesystem::path mine = entries().front();
  choose(first, {1, 20}, "another product");
  ASSERT_EQ(entries().size(), 2u);
  for (const std::filesystem::path& entry : entries()) {
    if (entry != mine) std::filesystem::rename(entry, mine);  // sound, but the other problem's
  }
  Tuner second(host_.device);
  EXPECT_EQ(choose(second, {20, 1}), 1u);
  EXPECT_EQ(second.choices().back().origin, Origin::measured);
  Tuner third(host_.device);
  EXPECT_EQ(choose(third, {20, 1}), 1u);
  EXPECT_EQ(third.choices().back().origin, Origin::remembered);
}

TEST_F(TunerTest, RenewalReplacesWhatIsRemembered) {
  Tuner first(host_.device);
  EXPECT_EQ(choose(first, {20, 1}), 1u);
  // The same names, the other one faster now.
  const auto choose_swapped = [&](Tuner& tuner) {
    return tuner.choose("a product", {{"20 launches"}, {"1 launches"}},
                        [&](std::size_t i) { return trial(i == 0 ? 1 : 20); });
  };
  Tuner remembering(host_.device), renewing(host_.device, Tuner::Memory::renew);
  EXPECT_EQ(choose_swapped(remembering), 1u);
  EXPECT_EQ(choose_swapped(renewing), 0u);
  EXPECT_EQ(renewing.details().at(0).at("from"), "measured");
  Tuner later(host_.device);
  EXPECT_EQ(choose_swapped(later), 0u);
  EXPECT_EQ(later.choices().back().origin, Origin::remembered);
}

// The lock of one process is another's wait; here it is another thread's.
class TunersTurn : public TunerTest {
 protected:
  TunersTurn() { EXPECT_TRUE(measuring_); }
  /// A choice in another thread, when it is known to wait: each look at the lock is a sign of
  /// progress, and nothing else is one here.
  std::future<std::size_t> waiting_choice(Tuner& tuner,
                                          std::function<Tuner::Trial(std::size_t)> prepare) {
    const std::uint64_t before = activity::now().count;
    auto chosen = std::async(std::launch::async, [this, &tuner, prepare = std::move(prepare)] {
      return tuner.choose("a product", candidates_, prepare);
    });
    const auto looks = [&] { return (activity::now().count - before) / 2; };
    while (looks() < 2 &&
           chosen.wait_for(std::chrono::milliseconds(5)) == std::future_status::timeout) {
    }
    EXPECT_GE(looks(), 2u) << "it did not wait";
    return chosen;
  }
  /// What another process would measure: the second candidate.
  void measure_aside() {
    const std::filesystem::path aside = scratch_ / "aside";
    Host host(aside);
    Tuner tuner(host.device);
    EXPECT_EQ(tuner.choose("a product", candidates_, [&](std::size_t i) { return only_right(i); }),
              1u);
    for (const auto& entry : std::filesystem::directory_iterator(aside)) {
      if (entry.path().filename().string().starts_with("choice-")) entry_ = entry.path();
    }
    ASSERT_FALSE(entry_.empty());
  }
  /// Puts that into the cache, in one step as CacheFolder does.
  void publish() { std::filesystem::rename(entry_, folder_ / entry_.filename()); }
  Tuner::Trial only_right(std::size_t i) {
    if (i == 0) throw Error("refused");
    return trial(1);
  }
  static Tuner::Trial refuse(std::size_t) { throw Error("it was measured again"); }

  std::vector<Tuner::Candidate> candidates_{{"refused"}, {"right"}};
  std::filesystem::path folder_ = scratch_ / "cache", entry_;
  std::optional<FileLock> measuring_ =
      FileLock::await_turn(folder_, "measuring", [](double, const std::string&) { return false; });
};

TEST_F(TunersTurn, ComesWhenWhoeverMeasuresHasEnded) {
  Tuner tuner(host_.device);
  auto chosen = waiting_choice(tuner, [&](std::size_t i) { return only_right(i); });
  measuring_.reset();
  EXPECT_EQ(chosen.get(), 1u);
  EXPECT_EQ(tuner.choices().back().origin, Origin::only) << "it was remembered";
}

TEST_F(TunersTurn, IsNotNeededForWhatAnotherHasMeasuredMeanwhile) {
  measure_aside();
  Tuner tuner(host_.device);
  auto chosen = waiting_choice(tuner, refuse);
  publish();  // and goes on to the next product: the lock is held
  EXPECT_EQ(chosen.get(), 1u);
  EXPECT_EQ(tuner.choices().back().origin, Origin::remembered);
}

TEST_F(TunersTurn, OfAStoppedProcessIsWaitedForOnce) {
  Tuner tuner(host_.device, Tuner::Memory::use, 0.1);
  ::testing::internal::CaptureStderr();
  for (const char* product : {"one", "another", "a third"})
    EXPECT_EQ(choose(tuner, {20, 1}, product), 1u);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_NE(said.find("measures one, and waits for nobody any more, beside process"), said.npos)
      << said;
  EXPECT_EQ(prepared_, 6);
}

TEST_F(TunerTest, AChoiceAmongFewerInstructionsIsNotRememberedForAll) {
  const auto origin = [&] {
    Tuner tuner(host_.device);
    EXPECT_EQ(choose(tuner, {20, 1}), 1u);
    return tuner.choices().back().origin;
  };
  {
    const ScopedVariable none(opencl::instructions_variable, "none");
    EXPECT_EQ(origin(), Origin::measured);
    EXPECT_EQ(origin(), Origin::remembered);
  }
  EXPECT_EQ(origin(), Origin::measured);
}

// A plan that is lowered again, for another share of the batch, keeps its kernels.
TEST_F(TunerTest, WhatATunerChoseStaysWithoutACacheToo) {
  opencl::Device device(test_device_index());
  Tuner tuner(device);
  EXPECT_EQ(choose(tuner, {20, 1}), 1u);
  EXPECT_EQ(choose(tuner, {20, 1}), 1u);
  EXPECT_EQ(prepared_, 2);
  EXPECT_EQ(tuner.choices().size(), 1u);
}

// It is the moment's, and what is chosen without a candidate is remembered.
TEST_F(TunerTest, ALackOfMemoryIsNoFaultOfACandidates) {
  Tuner tuner(host_.device);
  const auto choose_with = [&](const auto& fails) {
    return tuner.choose("a product", {{"slow"}, {"fast"}}, [&](std::size_t i) {
      if (i == 1) fails();
      return trial(i == 1 ? 1 : 20);
    });
  };
  EXPECT_THROW(choose_with([] { throw opencl::OutOfMemory("no room"); }), opencl::OutOfMemory);
  EXPECT_TRUE(tuner.choices().empty());
  EXPECT_EQ(choose_with([] {}), 1u);
  EXPECT_EQ(tuner.choices().back().origin, Origin::measured);
}

TEST_F(TunerTest, AWrongResultDisqualifiesTheFastest) {
  Tuner tuner(host_.device);
  // The product of other operands: the dense problem's bias in the place of its input.
  plan::DenseProblem other(host_.device, {.in = 256, .out = 128}, 64, ComputeFormat::bf16,
                           Direction::forward);
  ::testing::internal::CaptureStderr();
  const std::size_t chosen =
      tuner.choose("a product", {{"coarse operands"}, {"nothing written"}, {"twenty launches"}},
                   [&](std::size_t i) -> Tuner::Trial {
                     if (i == 2) return trial(20);
                     if (i == 1) {
                       const Tuner::Trial right = trial(1);
                       return {[] {}, right.fault};
                     }
                     // Right for float32 operands, but bf16's are asked for.
                     return other.trial(matmul_);
                   });
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(chosen, 2u);
  EXPECT_NE(said.find("coarse operands is out for a product"), std::string::npos) << said;
  EXPECT_NE(said.find("nothing written is out for a product"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2) << said;
}

TEST_F(TunerTest, KernelsThatDoNotBuildAreOutAndWithoutAnyLeftItIsAnError) {
  Tuner tuner(host_.device);
  const auto prepare = [&](std::size_t i) -> Tuner::Trial {
    if (i == 0) throw Error("it does not build");
    return trial(1);
  };
  EXPECT_EQ(tuner.choose("a product", {{"broken"}, {"sound"}}, prepare), 1u);
  try {
    tuner.choose("another", {{"broken"}, {"broken too"}, {"too dear", 100}},
                 [&](std::size_t) -> Tuner::Trial { throw Error("no"); });
    FAIL() << "nothing was thrown";
  } catch (const Error& failure) {
    const std::string said = failure.what();
    EXPECT_NE(said.find("no kernel computes another rightly"), std::string::npos) << said;
    EXPECT_NE(said.find("DOVETAIL_INSTRUCTIONS"), std::string::npos) << said;
  }
}

TEST_F(TunerTest, WhatIsGuessedToBeFarDearerIsNotTried) {
  Tuner tuner(host_.device);
  EXPECT_EQ(tuner.choose("a product", {{"dear", 10}, {"cheap", 1}},
                         [&](std::size_t i) -> Tuner::Trial {
                           EXPECT_EQ(i, 1u);
                           ++prepared_;
                           return trial(1);
                         }),
            1u);
  EXPECT_EQ(prepared_, 1) << "to be checked";
  EXPECT_EQ(tuner.choices().front().origin, Origin::only);
}

TEST_F(TunerTest, OneAloneThatIsWrongIsOut) {
  Tuner tuner(host_.device);
  const auto wrong = [&](std::size_t) -> Tuner::Trial { return {[] {}, trial(1).fault}; };
  EXPECT_THROW(tuner.choose("a product", {{"alone"}}, wrong), plan::NothingComputes);
  EXPECT_EQ(tuner.choose("another", {{"nothing written"}, {"dear", 10}},
                         [&](std::size_t i) { return i == 1 ? trial(20) : wrong(i); }),
            1u);
  EXPECT_EQ(tuner.choices().back().origin, Origin::only);
  // Nothing is remembered of what is out.
  Tuner later(host_.device);
  later.choose("a product", {{"alone"}}, [&](std::size_t) {
    ++prepared_;
    return trial(1);
  });
  EXPECT_EQ(prepared_, 1);
  EXPECT_EQ(later.choices().back().origin, Origin::only);
}

TEST_F(TunerTest, ListensToANeighbourWithTheSameDevice) {
  Tuner first(host_.device);
  choose(first, {20, 1}, "told");
  Host apart(scratch_ / "another cache");
  Tuner second(apart.device);
  second.listen(first.tell());
  EXPECT_EQ(choose(second, {20, 1}, "told"), 1u);
  EXPECT_EQ(second.choices().front().origin, Origin::told);
  Json foreign = Json::parse(first.tell());
  foreign["device"] = "another card";
  Tuner third(apart.device);
  third.listen(foreign.dump());
  choose(third, {20, 1}, "told");
  EXPECT_EQ(third.choices().front().origin, Origin::measured);
}

// The check that stands between a driver's bug and a training: each direction, each format.
TEST_F(TunerTest, TheTwinsCheckAcceptsEveryKernelAndFindsAForeignResult) {
  opencl::Device& device = host_.device;
  const Conv2dShape conv{feature_map(3, 9, 7, 20, 1), feature_map(3, 9, 7, 33, 1), 3, 1, 1};
  const Conv2dPoolShape pooled{conv.input, feature_map(3, 4, 3, 33, 0), 3, 1, 1, 2};
  const MatmulShape dense{.in = 50, .out = 32};
  for (const Direction direction :
       {Direction::forward, Direction::input_gradient, Direction::weight_gradient}) {
    for (const ComputeFormat format : compute_formats) {
      SCOPED_TRACE(fmt::format("{} {}", to_string(direction), to_string(format)));
      const auto fault = [&](auto& problem, auto kernels) {
        const Tuner::Trial trial = problem.trial(std::move(kernels));
        trial.enqueue();
        return trial.fault();
      };
      const ComputeFormat other =
          format == ComputeFormat::bf16 ? ComputeFormat::float32 : ComputeFormat::bf16;
      plan::ConvProblem convolution(
          device, {conv.input, conv.output, conv.kernel, conv.stride, conv.padding, 1}, format,
          direction);
      plan::DenseProblem product(device, dense, 11, format, direction);
      plan::ConvProblem with_pool(device, pooled, format, direction);
      for (const ConvPoolKernels& each : conv_pool_candidates(pooled, Direction::forward)) {
        EXPECT_EQ(
            fault(with_pool, std::make_shared<Conv2dPool>(device, pooled, true, format, each)), "");
      }
      EXPECT_NE(fault(with_pool, std::make_shared<Conv2dPool>(device, pooled, true, other)), "");
      for (const Variant variant : {Variant::cpu, Variant::gpu}) {
        EXPECT_EQ(fault(convolution, std::make_shared<Conv2d>(device, variant, conv, format)), "");
        EXPECT_NE(fault(convolution, std::make_shared<Conv2d>(device, variant, conv, other)), "");
        EXPECT_EQ(fault(product, std::make_shared<Matmul>(device, variant, dense, format)), "");
        EXPECT_NE(fault(product, std::make_shared<Matmul>(device, variant, dense, other)), "");
      }
    }
  }
}

TEST_F(TunerTest, ATunedPlanComputesTheSameGradients) {
  const Model model = small_cnn();
  const RandomBatch batch = random_batch(model, 8, 3);
  const auto gradients = [&](Tuner* tuner, bool fuse_maps) {
    Plan plan(host_.device, model, statistics_for(model),
              {.batch = 8, .training = true, .tuner = tuner, .fuse_maps = fuse_maps});
    plan.load_parameters(model.initial_parameters(1));
    plan.enqueue_gradients(batch.images, batch.labels, 0);
    return plan.gradients(plan.map_reduction().as<float>());
  };
  for (const bool fuse_maps : {false, true}) {
    Tuner tuner(host_.device);
    const std::vector<float> usual = gradients(nullptr, fuse_maps),
                             tuned = gradients(&tuner, fuse_maps);
    EXPECT_EQ(tuner.choices().size(), 11u);  // four layers, but for the first one's input gradient
    if (host_.device.is_cpu()) {
      EXPECT_EQ(tuned, usual);
    } else {
      ASSERT_EQ(tuned.size(), usual.size());
      for (std::size_t i = 0; i < tuned.size(); ++i) EXPECT_NEAR(tuned[i], usual[i], 1e-3);
    }
  }
}

}  // namespace
}  // namespace dovetail
