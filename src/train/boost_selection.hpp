// The GPU ranks' side of a boost: agrees, step by step, on the samples to train on.
//
// Protocol. Only the lead GPU rank hears from the FPGA ranks, and it alone decides: whether the
// scores of step s have come in time, which of the pool's samples are chosen, and whether the
// samples that FPGA ranks should have contributed are trained on here, because none of them serves
// any more. At the start of step s − lookahead all GPU ranks begin a non-blocking broadcast of that
// decision, a message of fixed size; they complete it at the start of the step after that. In
// between lies the all-reduce of a step, which no rank leaves before the lead has entered it, and
// so has begun the broadcast: completing it waits for bytes that are already on their way, never
// for an FPGA rank. All ranks then hand their shares of the same decision to their prefetchers,
// `lookahead` − 1 steps before the samples are needed. What arrives after the lead has decided is
// late; its step trains on the first samples of the pool, whose order is random.
//
// With BoostTiming::wait the lookahead is 0, the lead decides when all scores are there, and the
// others wait for the lead; so too where the GPU ranks score the pool themselves.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "shards/prefetcher.hpp"
#include "shards/step_schedule.hpp"
#include "train/boost_arrivals.hpp"
#include "train/boost_settings.hpp"
#include "train/sample_feed.hpp"

namespace dovetail {

class BoostSelection : public SampleFeed {
 public:
  /// What the lead knows of the FPGA side; the other ranks have none.
  struct Lead {
    BoostArrivals* arrivals = nullptr;  // null where there are no FPGA ranks
    BoostCounters* counters = nullptr;
    std::function<void()> poll;            // takes in what has arrived
    std::function<std::size_t()> serving;  // FPGA ranks
  };
  /// Losses of this rank's images, uint8 [labels.size(), …], with the present weights.
  using ScoreHere = std::function<std::vector<float>(std::span<const std::uint8_t> images,
                                                     std::span<const std::int32_t> labels)>;

  /// @param score_here null unless the GPU ranks score the pools themselves.
  /// @param images whether batches bring theirs: else labels and numbers.
  /// @param memory of batches that are read ahead, as Plan::sample_memory.
  BoostSelection(Communicator& ranks, ShardReader& reader, const StepSchedule& schedule,
                 const Shares& shares, const BoostTiming& timing, const BoostSettings& settings,
                 std::uint64_t seed, std::optional<Lead> lead, ScoreHere score_here,
                 bool images = true, HostMemory memory = nullptr);

  /// Collective over the GPU ranks.
  bool next(std::uint64_t step, Batch& batch) override;
  std::span<const float> weights() const override { return weights_; }
  bool includes_contributed() const override { return alone_; }
  std::uint64_t first_sample() const override { return first_sample_; }
  /// Of steps that are decided from now on: all ranks take in a decision at the start of the same
  /// step.
  void rebalance(std::uint64_t, const Shares& shares) override { shares_ = shares; }

 private:
  /// On its way to all ranks, as numbers: see pack().
  struct Decision {
    std::uint64_t step = 0;
    std::shared_ptr<std::vector<std::uint32_t>> words;
    Request request;
  };
  /// This rank's part of a decided step.
  struct MyPart {
    Range range;
    std::vector<float> weights;
    std::uint64_t first_sample = 0;
    bool alone = false;  // with the samples that nobody contributes
  };

  void begin_decision(std::uint64_t step);
  std::vector<std::uint32_t> decide(std::uint64_t step);
  /// By SelectKind::random; nothing where a choice needs scores, or none is made.
  std::optional<Choice> choose_unscored(std::uint64_t step) const;
  /// The lead's decision of a step.
  void count(std::uint64_t step, const std::optional<Choice>& choice);
  std::optional<BoostArrivals::Scores> scores_for(std::uint64_t step);
  std::vector<float> score_pool(std::uint64_t step);
  std::vector<std::uint32_t> pack(const std::optional<Choice>& choice, bool alone) const;
  MyPart my_part(std::uint64_t step, std::span<const std::uint32_t> words) const;
  void accept(std::uint64_t step, std::span<const std::uint32_t> words);

  Communicator& ranks_;
  ShardReader& reader_;
  StepSchedule schedule_;
  Shares shares_;
  BoostTiming timing_;
  BoostSettings settings_;
  std::uint64_t seed_;
  std::optional<Lead> lead_;
  ScoreHere score_here_;
  bool images_;

  std::vector<float> pool_losses_;  // scored by the GPU ranks: of the step to decide on
  std::deque<Decision> decisions_;  // begun, oldest first
  std::deque<MyPart> parts_;        // decided and requested, oldest first
  std::vector<float> weights_;
  std::uint64_t first_sample_ = 0;
  bool alone_ = false;
  std::optional<Prefetcher> prefetcher_;  // last; none where nothing can be read ahead
};

}  // namespace dovetail
