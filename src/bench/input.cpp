// Reads ahead, or makes images up.
#include "bench/input.hpp"

#include <algorithm>
#include <limits>

#include "plan/step_records.hpp"
#include "shards/share.hpp"
#include "support/clock.hpp"
#include "support/random.hpp"

namespace dovetail::bench {
namespace {

Share share_of(const Communicator& ranks, const StepOptions& options) {
  return shares(options, ranks.size())
      .of(static_cast<std::size_t>(options.batch), static_cast<std::size_t>(ranks.rank()));
}

}  // namespace

Input::Input(const Communicator& ranks, Plan& plan, const StepOptions& options) {
  if (options.data) {
    read_data(ranks, plan, options);
  } else {
    make_random(ranks, plan, options);
  }
  take_memory();
  batches_.emplace(
      plan, [this](Batch& batch) { return read(batch); },
      [this](const Batch& batch, StepSamples& samples) { find(batch, samples); });
}

std::size_t Input::steps_together(const Communicator& ranks, Plan& plan, const StepOptions& options,
                                  std::size_t most) {
  if (ranks.size() > 1 || options.on_device) return 0;
  const auto samples = static_cast<std::size_t>(options.batch);
  const std::size_t steps = std::min(plan.steps_together(samples), most);
  if (steps > 0) plan.make_room_to_send(steps * samples);
  return steps;
}

void Input::read_data(const Communicator& ranks, Plan& plan, const StepOptions& options) {
  reader_.emplace(*options.data, "train", ReaderOptions{.seed = options.seed});
  if (options.on_device) held_.emplace(plan, *reader_);
  const Share mine = share_of(ranks, options);
  const auto batch = static_cast<std::size_t>(options.batch);
  const std::size_t steps = std::max<std::size_t>(1, reader_->samples() / batch);
  const HostMemory memory = options.on_device ? nullptr : plan.sample_memory();
  const std::size_t together = together_ = steps_together(ranks, plan, options, steps);
  const std::size_t each = std::max<std::size_t>(1, together), batches = (steps + each - 1) / each;
  prefetcher_.emplace(
      *reader_,
      [=, images = !options.on_device](std::size_t index) {
        const std::size_t first = index % batches * each;
        return Range{.epoch = static_cast<std::int64_t>(index / batches),
                     .begin = first * batch + mine.begin,
                     .count = std::min(each, steps - first) * mine.count,
                     .images = images,
                     .step = together > 0 ? mine.count : 0};
      },
      Prefetcher::by_size, memory,
      memory ? Prefetcher::threads_for_short_steps(ranks.local_size()) : 1);
}

void Input::take_memory() {
  if (together_ == 0) return;
  constexpr std::size_t most_bytes = std::size_t{64} << 20, least = 4;
  const auto take = [&](Batch& batch) {
    if (prefetcher_) {
      prefetcher_->next(batch);
    } else {
      batch = Batch(random_);
    }
  };
  // One that is taken, the next, and those of steps that are under way: long ones, which have large
  // batches, are few.
  const std::size_t all = 2 + (plan::StepRecords::most + together_ - 1) / together_;
  spare_.resize(1);
  take(spare_.front());
  const std::size_t bytes = std::max<std::size_t>(1, spare_.front().images.size());
  spare_.resize(std::clamp(most_bytes / bytes, std::min(least, all), all));
  for (std::size_t i = 1; i < spare_.size(); ++i) take(spare_[i]);
  if (!prefetcher_) return;
  // What it fills in their place takes memory, too.
  for (std::size_t i = 0; i < prefetcher_->most_waiting() + spare_.size(); ++i)
    prefetcher_->next(spare_[i % spare_.size()]);
  prefetcher_->forget_waits();
}

std::optional<Reading> Input::read_alone(double seconds) {
  if (!prefetcher_ || held_) return std::nullopt;
  Batch batch;
  std::size_t samples = 0, bytes = 0;
  const auto read_for = [&](double some) {
    samples = bytes = 0;
    const Stopwatch watch;
    do {
      prefetcher_->next(batch);
      samples += batch.size();
      bytes += batch.images.size();
    } while (watch.seconds() < some);
    return watch.seconds();
  };
  read_for(seconds / 4);  // what waits already
  const double taken_s = read_for(seconds);
  return Reading{static_cast<double>(samples) / taken_s, static_cast<double>(bytes) / taken_s};
}

void Input::make_random(const Communicator& ranks, Plan& plan, const StepOptions& options) {
  const Model& model = plan.model();
  const std::size_t each = share_of(ranks, options).count;
  const std::size_t together = together_ =
      steps_together(ranks, plan, options, std::numeric_limits<std::size_t>::max());
  const std::size_t count = each * std::max<std::size_t>(1, together);
  if (!options.on_device) random_ = Batch::in(plan.sample_memory());
  random_.range.step = together > 0 ? each : 0;
  SplitMix64 random(options.seed + static_cast<std::uint64_t>(ranks.rank()));
  random_.images.resize(count * static_cast<std::size_t>(model.input().size()));
  random_.labels.resize(count);
  for (auto& value : random_.images) value = static_cast<std::uint8_t>(random.below(256));
  for (auto& label : random_.labels)
    label = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(model.classes())));
  if (!options.on_device) return;
  plan.hold_images(count);
  plan.write_images(0, random_.images);
  random_.images.clear();
  random_.range.images = false;
  for (std::size_t i = 0; i < count; ++i) random_.numbers.push_back(static_cast<std::int32_t>(i));
  plan.hold_order(random_.numbers, random_.labels).await();
}

void Input::find(const Batch& batch, StepSamples& samples) {
  if (held_) {
    held_->find(batch, samples);
  } else {
    samples.place = 0;
  }
}

bool Input::read(Batch& batch) {
  if (batch.labels.empty() && !spare_.empty()) {
    batch = std::move(spare_.back());
    spare_.pop_back();
  }
  if (prefetcher_) return prefetcher_->next(batch);
  if (batch.labels.empty()) batch = Batch(random_);  // its memory, too
  return true;
}

}  // namespace dovetail::bench
