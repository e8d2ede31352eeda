// A step: its gradients enqueued, summed over the ranks, checked, applied.
#include <algorithm>

#include "quant/range_error.hpp"
#include "shards/share.hpp"
#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "support/timeline.hpp"
#include "train/trainer.hpp"

namespace dovetail {

PlanOptions Trainer::plan_options(const TrainSettings& settings, std::size_t train_samples,
                                  const Communicator& ranks) {
  // Room for the whole batch: should all FPGA ranks retire, their share comes back.
  const std::size_t batch = std::min(static_cast<std::size_t>(settings.batch), train_samples);
  const auto rank = static_cast<std::size_t>(ranks.rank());
  const auto count = static_cast<std::size_t>(ranks.size());
  const std::size_t cuts = settings.chunks > 0 ? settings.chunks : count;
  const std::size_t passes =
      settings.chunks > 0 ? chunks_of(settings.chunks, rank, count).count : 1;
  if (settings.chunks > 0 && settings.balance.kind != BalanceKind::equal)
    throw Error("chunks of a batch have one size, whatever its shares");
  const std::size_t even = (batch + cuts - 1) / cuts;
  const Balancer balancer(settings.balance, step_schedule(settings, train_samples).batch, count);
  const std::size_t mine = balancer.shares().even() ? even : balancer.shares().largest(batch, rank);
  return {.batch = static_cast<int>(mine),
          .passes = static_cast<int>(passes),
          .step_passes = static_cast<int>(std::max<std::size_t>(settings.chunks, 1)),
          .training = true,
          .loss = settings.loss,
          .optimizer = settings.optimizer,
          .seed = settings.seed,
          .format = settings.format,
          .augmentation = settings.augmentation,
          .tuned_batch = static_cast<int>(even),  // the same kernels whatever the shares
          .bucket_bytes = settings.bucket_bytes,
          .upload_way = settings.upload_way};
}

std::unique_ptr<AllReduce> Trainer::make_all_reduce(const Communicator& gpu_ranks,
                                                    const opencl::Device& device,
                                                    const TrainSettings& settings,
                                                    const Model& model, std::size_t train_samples) {
  const auto size =
      Plan::reduction_size(device, model, plan_options(settings, train_samples, gpu_ranks));
  return std::make_unique<AllReduce>(
      gpu_ranks, GradientExchange::parts(size.buckets),
      AllReduceOptions{.compression = settings.compression,
                       .fixed_tree = settings.chunks > 0,
                       .ranks_per_group = settings.ranks_per_group,
                       .threads = AllReduce::threads_for(gpu_ranks, device.is_cpu())});
}

StepVotes Trainer::train_step(Batch& batch) {
  const timeline::Step recorded(step_ + 1);
  publish_for_boost();
  Stopwatch phase;
  // Samples that FPGA ranks or the lead choose come from them.
  activity::enter("input", step_ + 1,
                  settings_.boost.any() ? activity::Kind::wait : activity::Kind::work);
  feed_->next(step_, batch);
  phases_.input_s += phase.restart();
  activity::enter("compute", step_ + 1);
  const bool is_measured = contribution_ && contribution_->measures(step_);
  enqueue_step(batch, !is_measured);
  phases_.compute_s += phase.restart();
  samples_ += batch.size();
  const StepStatistics done = reduce_and_update(step_, batch, is_measured);
  note_step(step_++, done);
  return done.votes;
}

StepSamples Trainer::samples_of(const Batch& batch) {
  StepSamples samples{.labels = batch.labels,
                      .weights = feed_->weights(),
                      .first = feed_->first_sample(),
                      .stays = true};  // the next batch is asked for when this one's sums are there
  if (batch.range.images) {
    samples.images = batch.images;
  } else {
    held_set_->find(batch, samples);
  }
  return samples;
}

void Trainer::enqueue_step(const Batch& batch, bool hand_over) {
  const StepSamples samples = samples_of(batch);
  const std::vector<std::size_t> passes = feed_->passes(step_, batch.size());
  for (int again = 1; again < settings_.repeats; ++again)
    plan_.enqueue_step(samples, passes, false);
  plan_.enqueue_step(samples, passes, hand_over);
}

GradientExchange::Sums Trainer::sums_of_all(std::uint64_t step, bool is_measured) {
  try {
    return sum_step(step, is_measured);
  } catch (const quant::RangeError& failure) {  // of what was contributed; ends the whole job
    throw Error(failure.problem(), remedy_with_checkpoint());
  }
}

GradientExchange::Sums Trainer::sum_step(std::uint64_t step, bool is_measured) {
  GradientExchange::Timing timing;
  GradientExchange::Sums sums;
  if (!is_measured) {
    sums = exchange_.sum(step + 1, my_votes(), timing,
                         contribution_ ? &contribution_->of(step) : nullptr);
  } else {
    Stopwatch phase;
    std::optional<opencl::Mapping>& mapping = exchange_.map();
    timing.compute_s += phase.restart();
    activity::enter("boost", step + 1, activity::Kind::wait);
    contribution_->add_to(mapping, step);
    timing.summand_s += phase.restart();
    sums = exchange_.sum_mapped(step + 1, my_votes(), timing);
  }
  phases_.compute_s += timing.compute_s;
  phases_.boost_s += timing.summand_s;
  phases_.reduce_s += timing.reduce_s;
  return sums;
}

StepStatistics Trainer::reduce_and_update(std::uint64_t step, const Batch& batch,
                                          bool is_measured) {
  const GradientExchange::Sums sums = sums_of_all(step, is_measured);
  Stopwatch phase;
  activity::enter("update", step + 1);
  const StepStatistics statistics = plan_.step_statistics(sums.reduction);
  // Gradients that leave fp16's range are what the loss scale is for, as long as one helps.
  const bool overflowed = loss_scale_ && !sums.gradients_are_finite && sums.rest_is_finite;
  const bool accepted = accept(!overflowed);
  if (no_scale_helps() || (!overflowed && !sums.all_finite())) {
    std::string what = plan_.first_not_finite(sums.reduction);
    exchange_.give_back();
    fail_not_finite(step, batch, std::move(what));
  }
  plan_.update_running_statistics(sums.reduction, statistics.normalised);
  exchange_.give_back();
  if (accepted) plan_.enqueue_update(settings_.learning_rate.at(step), statistics, step + 1);
  if (loss_scale_ && loss_scale_->value() != plan_.loss_scale()) {
    all_reduce_->scale_feedback(loss_scale_->value() / plan_.loss_scale());
    plan_.set_loss_scale(loss_scale_->value());
  }
  phases_.update_s += phase.restart();
  return statistics;
}

bool Trainer::accept(bool in_range) {
  if (!loss_scale_) return true;
  const bool accepted = loss_scale_->after(in_range);
  result_.skipped_steps = loss_scale_->skipped();
  return accepted;
}

Json Trainer::communication() {
  const CommunicationTime time = exchange_.time();
  return {{"seconds", time.total_s},
          {"exposed_seconds", time.exposed_s},
          {"sent_bytes", all_reduce_->sent_bytes()}};
}

}  // namespace dovetail
