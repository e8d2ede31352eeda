// Decides on the lead, tells all, reads ahead.
#include "train/boost_selection.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <numeric>
#include <thread>

#include "support/random.hpp"

namespace dovetail {
namespace {

// Words of a decision: two flags, then a place in the pool and a weight (its bits) for every
// sample of a full batch.
constexpr std::size_t chosen_flag = 0, alone_flag = 1, header_words = 2;
constexpr std::chrono::microseconds poll_interval{50};

std::uint64_t seed_of(std::uint64_t seed, std::uint64_t step) {
  return SplitMix64(SplitMix64(seed ^ 0x5e1ec7u).next() + step).next();
}

}  // namespace

BoostSelection::BoostSelection(Communicator& ranks, ShardReader& reader,
                               const StepSchedule& schedule, const Shares& shares,
                               const BoostTiming& timing, const BoostSettings& settings,
                               std::uint64_t seed, std::optional<Lead> lead, ScoreHere score_here,
                               bool images, HostMemory memory)
    : ranks_(ranks),
      reader_(reader),
      schedule_(schedule),
      shares_(shares),
      timing_(timing),
      settings_(settings),
      seed_(seed),
      lead_(std::move(lead)),
      score_here_(std::move(score_here)),
      images_(images) {
  if (timing_.lookahead() == 0) return;
  prefetcher_.emplace(reader, timing_.lookahead(), std::move(memory));
  const std::uint64_t open = std::min(timing_.first_step + timing_.lookahead(), timing_.last_step);
  // Too soon for scores; what needs none is the same on all ranks without a message.
  for (std::uint64_t step = timing_.first_step; step < open; ++step) {
    const std::optional<Choice> choice = choose_unscored(step);
    if (lead_) count(step, choice);
    accept(step, pack(choice, false));
  }
}

bool BoostSelection::next(std::uint64_t step, Batch& batch) {
  // Those begun in earlier steps first; with a lookahead of 0 the one begun now.
  const auto complete = [&] {
    while (!decisions_.empty()) {
      decisions_.front().request.wait();
      accept(decisions_.front().step, *decisions_.front().words);
      decisions_.pop_front();
    }
  };
  complete();
  if (step + timing_.lookahead() < timing_.last_step) begin_decision(step + timing_.lookahead());
  if (timing_.lookahead() == 0) complete();
  if (prefetcher_) {
    prefetcher_->next(batch);
  } else {
    reader_.read(parts_.front().range, batch);
  }
  weights_ = std::move(parts_.front().weights);
  first_sample_ = parts_.front().first_sample;
  alone_ = parts_.front().alone;
  parts_.pop_front();
  return true;
}

void BoostSelection::begin_decision(std::uint64_t step) {
  if (score_here_) pool_losses_ = score_pool(step);
  Decision& decision = decisions_.emplace_back();
  decision.step = step;
  decision.words = std::make_shared<std::vector<std::uint32_t>>(lead_ ? decide(step)
                                                                      : pack(std::nullopt, false));
  decision.request = ranks_.ibroadcast(std::span(*decision.words), 0);
  decision.request.keep(decision.words);
}

std::vector<std::uint32_t> BoostSelection::decide(std::uint64_t step) {
  if (lead_->poll) lead_->poll();
  std::optional<Choice> choice = choose_unscored(step);
  if (settings_.selects() && settings_.select != SelectKind::random) {
    if (const auto scores = scores_for(step)) {
      choice =
          choose(settings_.select, scores->losses, schedule_.at(step).keep, seed_of(seed_, step),
                 rank_exponent(step, scores->version, settings_.discount));
    }
  }
  count(step, choice);
  const bool alone = settings_.contributes() && lead_->serving() == 0;
  return pack(choice, alone);
}

std::optional<Choice> BoostSelection::choose_unscored(std::uint64_t step) const {
  if (!settings_.selects() || settings_.select != SelectKind::random) return std::nullopt;
  const StepSchedule::Step plan = schedule_.at(step);
  const std::vector<float> alike(plan.pool.count, 1.0f);
  return choose(SelectKind::random, alike, plan.keep, seed_of(seed_, step));
}

void BoostSelection::count(std::uint64_t step, const std::optional<Choice>& choice) {
  if (!settings_.selects()) return;
  if (choice) {
    ++lead_->counters->selected_steps;
    lead_->counters->selected_samples += schedule_.at(step).keep;
  } else {
    ++lead_->counters->late_scores;
  }
}

std::optional<BoostArrivals::Scores> BoostSelection::scores_for(std::uint64_t step) {
  if (score_here_) {
    lead_->counters->score_staleness.add(0);
    return BoostArrivals::Scores{pool_losses_, step};
  }
  while (timing_.wait && !lead_->arrivals->has_scores(step) && lead_->serving() > 0) {
    std::this_thread::sleep_for(poll_interval);
    lead_->poll();
  }
  std::optional<BoostArrivals::Scores> scores = lead_->arrivals->take_scores(step);
  if (scores) lead_->counters->score_staleness.add(step - std::min(step, scores->version));
  return scores;
}

std::vector<float> BoostSelection::score_pool(std::uint64_t step) {
  const StepSchedule::Step plan = schedule_.at(step);
  const Share mine = shares_.of(plan.pool.count, static_cast<std::size_t>(ranks_.rank()));
  Batch batch;
  reader_.read({.epoch = static_cast<std::int64_t>(plan.epoch),
                .begin = plan.pool.begin + mine.begin,
                .count = mine.count},
               batch);
  const std::vector<float> losses = score_here_(batch.images, batch.labels);
  std::vector<float> all(plan.pool.count, 0.0f);
  std::copy(losses.begin(), losses.end(), all.begin() + static_cast<std::ptrdiff_t>(mine.begin));
  ranks_.all_reduce_sum(all);
  return all;
}

std::vector<std::uint32_t> BoostSelection::pack(const std::optional<Choice>& choice,
                                                bool alone) const {
  std::vector<std::uint32_t> words(header_words + 2 * schedule_.batch, 0u);
  words[chosen_flag] = choice ? 1 : 0;
  words[alone_flag] = alone ? 1 : 0;
  for (std::size_t i = 0; choice && i < choice->picks.size(); ++i) {
    words[header_words + i] = choice->picks[i];
    const float weight = choice->weights.empty() ? 1.0f : choice->weights[i];
    words[header_words + schedule_.batch + i] = std::bit_cast<std::uint32_t>(weight);
  }
  return words;
}

BoostSelection::MyPart BoostSelection::my_part(std::uint64_t step,
                                               std::span<const std::uint32_t> words) const {
  const StepSchedule::Step plan = schedule_.at(step);
  std::vector<std::uint32_t> picks(plan.keep);
  std::vector<float> weights(plan.keep, 1.0f);
  if (words[chosen_flag] != 0) {
    for (std::size_t i = 0; i < plan.keep; ++i) {
      picks[i] = words[header_words + i];
      weights[i] = std::bit_cast<float>(words[header_words + schedule_.batch + i]);
    }
  } else {
    std::iota(picks.begin(), picks.end(), 0u);
  }
  for (std::size_t i = 0; words[alone_flag] != 0 && i < plan.contributed.count; ++i) {
    picks.push_back(static_cast<std::uint32_t>(plan.pool.count + i));
    weights.push_back(1.0f);
  }
  const Share mine = shares_.of(picks.size(), static_cast<std::size_t>(ranks_.rank()));
  const auto cut = [&](const auto& values) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(mine.begin);
    return std::vector(begin, begin + static_cast<std::ptrdiff_t>(mine.count));
  };
  MyPart part{.range = {.epoch = static_cast<std::int64_t>(plan.epoch),
                        .begin = plan.pool.begin,
                        .count = mine.count,
                        .picks = cut(picks),
                        .images = images_},
              .weights = cut(weights),
              .first_sample = plan.epoch * schedule_.samples + plan.pool.begin + mine.begin,
              .alone = words[alone_flag] != 0};
  if (settings_.select != SelectKind::importance) part.weights.clear();
  return part;
}

void BoostSelection::accept(std::uint64_t step, std::span<const std::uint32_t> words) {
  MyPart part = my_part(step, words);
  if (prefetcher_) prefetcher_->request(part.range);
  parts_.push_back(std::move(part));
}

}  // namespace dovetail
