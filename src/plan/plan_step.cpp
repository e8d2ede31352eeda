// Enqueues training steps: passes, their sums, and buckets that go out when they are finished.
#include <algorithm>
#include <bit>

#include "plan/plan.hpp"
#include "support/error.hpp"
#include "support/timeline.hpp"

namespace dovetail {

using plan::Bucket;
using plan::Edge;
using plan::Pass;

void Plan::forward_and_loss(const Pass& pass, const Inputs& inputs, bool weighed) {
  if (chain_) {
    DenseChain::Input input{.x = edges_[chain_begin_].value};
    const auto laws = chain_begin_ == 0 && chain_->takes_images()
                          ? normalise_.channel_laws(pass.seed, pass.first_sample)
                          : std::nullopt;
    if (laws) {
      input.images = inputs.image_source;
      input.laws = *laws;
    } else {
      forward(pass, inputs, chain_begin_);
    }
    const timeline::Part part(chain_name, "forward");
    chain_->forward_backward(input, parameters_, inputs.label_source,
                             weighed ? inputs.row_weights : opencl::Buffer(), pass.joined());
    return;
  }
  forward(pass, inputs, operations_.size());
  const timeline::Part part("loss");
  const Edge& logits = edges_.back();
  loss_->forward_backward(logits.value, inputs.label_source, logits.gradient, loss_statistics_,
                          pass.joined());
  if (weighed) weigh_rows_->run(logits.gradient, inputs.row_weights, pass.batch);
}

void Plan::chain_backward(const Pass& pass) {
  const timeline::Part part(chain_name, "backward");
  const Edge& in = edges_[chain_begin_];
  chain_->weight_gradients(in.value, gradients_, loss_statistics_, pass.joined());
  if (chain_begin_ > 0)
    chain_->input_gradient(in.value, parameters_, in.gradient, pass.joined(), in.rectified);
}

void Plan::enqueue_gradients(std::span<const std::uint8_t> images,
                             std::span<const std::int32_t> labels, std::uint64_t first_sample,
                             std::span<const float> weights) {
  const std::size_t size = labels.size();
  enqueue_step({.images = images, .labels = labels, .weights = weights, .first = first_sample},
               std::span(&size, 1), false);
}

void Plan::enqueue_step(const StepSamples& samples, std::span<const std::size_t> sizes,
                        bool hand_over) {
  if (!std::has_single_bit(sizes.size()) || sizes.size() > inputs_.size()) {
    throw Error(fmt::format("a step of {} passes where a power of two up to {} can be",
                            sizes.size(), inputs_.size()));
  }
  const bool weighed = weighs(samples);
  statistics_are_sums_ = sizes.size() > 1;
  InputSlot* slot = next_slot(samples);
  std::vector<Inputs>& inputs = slot ? slot->passes : inputs_;
  if (const std::optional<JoinedBatch> all = joined(sizes, samples.labels.size())) {
    upload(inputs.front(), samples, slot);
    weigh_pass_statistics(*all);
    begin_reading(slot);
    enqueue_pass({.batch = all->samples(),
                  .passes = all->passes,
                  .training = true,
                  .seed = options_.seed,
                  .first_sample = samples.first},
                 inputs.front(), weighed, 0, 1, hand_over);
    end_step(slot, hand_over);
    return;
  }
  if (sizes.size() > 1) make_partial_sums(sizes.size());
  // All copies before the first launch: a copy waits for what was enqueued before it.
  const std::size_t image_bytes = extent(model_.input().size());
  std::size_t first = 0;
  for (std::size_t pass = 0; pass < sizes.size(); ++pass) {
    const std::size_t size = std::min(sizes[pass], samples.labels.size() - first);
    const auto piece = [&](const auto& values, std::size_t each) {
      return values.empty() ? values : values.subspan(first * each, size * each);
    };
    upload(inputs[pass],
           {.images = piece(samples.images, image_bytes),
            .numbers = piece(samples.numbers, 1),
            .place = samples.place ? std::optional(*samples.place + first) : std::nullopt,
            .sending = samples.sending,
            .labels = piece(samples.labels, 1),
            .weights = piece(samples.weights, 1),
            .stays = samples.stays},
           slot);
    first += size;
  }
  if (first != samples.labels.size())
    throw Error(fmt::format("passes of {} samples, not of {}", first, samples.labels.size()));
  begin_reading(slot);
  first = 0;
  for (std::size_t pass = 0; pass < sizes.size(); ++pass) {
    enqueue_pass({.batch = static_cast<int>(sizes[pass]),
                  .training = true,
                  .seed = options_.seed,
                  .first_sample = samples.first + first},
                 inputs[pass], weighed, pass, sizes.size(), hand_over);
    first += sizes[pass];
  }
  end_step(slot, hand_over);
}

void Plan::enqueue_pass(const Pass& pass, const Inputs& inputs, bool weighed, std::size_t number,
                        std::size_t passes, bool hand_over) {
  const bool is_last = number + 1 == passes;
  std::size_t next = 0;  // bucket
  const auto finish = [&](std::size_t operation) {
    for (; next < buckets_.size() && buckets_[next].after >= operation; ++next) {
      if (!is_last) continue;
      const Bucket& bucket = buckets_[next];
      if (passes > 1) add_partial_sums(number, next);
      if (hand_over) memory_.hand_over(bucket.begin * sizeof(float), bucket.size() * sizeof(float));
    }
  };
  if (pass.batch == 0) {
    device_.fill_zero(reduction_);
  } else {
    if (scales_[0])
      weigh_rows_->scale(inputs.row_weights, pass.batch, scales_[0], !inputs.has_weights);
    forward_and_loss(pass, inputs, weighed);
    if (chain_) {
      chain_backward(pass);
      if (chain_begin_ > 0) finish(chain_begin_);
    }
    for (std::size_t i = chain_begin(); i-- > 0;) {
      {
        const timeline::Part part(names_[i], "backward");
        operations_[i]->backward(pass, i > 0);
      }
      if (i > 0) finish(i);
    }
    if (passes > 1) weigh_batch_statistics(extent(pass.batch));
    if (pass.passes > 1) fold_pass_statistics(pass.joined());
  }
  finish(0);
  if (is_last) return;
  std::size_t level = 0;
  for (; (number >> level & 1u) != 0; ++level) accumulate_->add(partial_sums_[level], reduction_);
  device_.copy(reduction_, partial_sums_[level], reduction_.bytes());
}

}  // namespace dovetail
