// Reads ahead, or makes images up.
#include "bench/input.hpp"

#include <algorithm>

#include "shards/share.hpp"
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
}

void Input::read_data(const Communicator& ranks, Plan& plan, const StepOptions& options) {
  reader_.emplace(*options.data, "train", ReaderOptions{.seed = options.seed});
  if (options.on_device) held_.emplace(plan, *reader_);
  const Share mine = share_of(ranks, options);
  const auto batch = static_cast<std::size_t>(options.batch);
  const std::size_t steps = std::max<std::size_t>(1, reader_->samples() / batch);
  const HostMemory memory = options.on_device ? nullptr : plan.sample_memory();
  prefetcher_.emplace(
      *reader_,
      [=, images = !options.on_device](std::size_t step) {
        return Range{.epoch = static_cast<std::int64_t>(step / steps),
                     .begin = step % steps * batch + mine.begin,
                     .count = mine.count,
                     .images = images};
      },
      Prefetcher::by_size, memory, memory ? Prefetcher::threads_for_short_steps() : 1);
}

void Input::make_random(const Communicator& ranks, Plan& plan, const StepOptions& options) {
  const Model& model = plan.model();
  const std::size_t count = share_of(ranks, options).count;
  if (!options.on_device) random_ = Batch::in(plan.sample_memory());
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
  if (batch.range.images) {
    samples.images = batch.images;
  } else if (held_) {
    held_->find(batch, samples);
  } else {
    samples.place = 0;
  }
}

void Input::next(Batch& batch) {
  if (prefetcher_) {
    prefetcher_->next(batch);
  } else if (batch.labels.empty()) {
    batch = Batch(random_);  // its memory, too
  }
}

}  // namespace dovetail::bench
