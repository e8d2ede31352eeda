// Looks after the device and the other ranks in turns.
#include "plan/gradient_exchange.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "support/activity.hpp"

namespace dovetail {
namespace {

// While the device computes and sums are under way: a CPU device wants its cores for itself.
constexpr std::chrono::microseconds nap_on_cpu{200}, nap_elsewhere{20};

}  // namespace

std::vector<ReductionPart> GradientExchange::parts(const std::vector<plan::Bucket>& buckets) {
  std::vector<ReductionPart> parts;
  for (const plan::Bucket& bucket : buckets) parts.push_back({bucket.begin, bucket.size(), true});
  parts.back().may_compress = false;  // losses, counts, votes
  return parts;
}

GradientExchange::GradientExchange(Plan& plan, AllReduce& reduce, bool overlap)
    : plan_(plan), reduce_(reduce), overlap_(overlap) {}

GradientExchange::Sums GradientExchange::sum(std::uint64_t step, const StepVotes& votes,
                                             Timing& timing, Summand* summand) {
  const std::vector<plan::Bucket>& all = plan_.buckets();
  Stopwatch phase;
  std::size_t added = 0;
  const auto add = [&](std::size_t end) {
    for (; summand && added < end; ++added) summand->add(all[added], plan_.reduction());
  };
  bool is_held = summand != nullptr;
  for (std::size_t bucket = 0; bucket < all.size(); ++bucket) {
    await(bucket);
    if (bucket == 0) {
      note_trips();  // all of the round before has ended
      buckets_.assign(all.size(), {});
      sums_ = {.reduction = plan_.reduction()};
      started_ = 0;
      hidden_s_ = 0;
    }
    buckets_[bucket].seen.restart();
    if (!overlap_ || bucket + 1 == all.size()) continue;
    if (is_held && summand->has_come()) {
      summand->take();
      is_held = false;
    }
    if (is_held) continue;
    add(bucket + 1);
    start(bucket + 1);
  }
  early_ = started_;
  hidden_s_ += is_busy_ ? busy_.seconds() : 0;
  timing.compute_s += phase.restart();
  if (summand) {
    activity::enter("boost", step, activity::Kind::wait);
    if (is_held) summand->take();
    add(all.size());
    timing.summand_s += phase.restart();
  }
  plan_.vote(plan_.reduction(), votes);
  activity::enter("all-reduce", step, activity::Kind::wait);
  start(all.size());
  reduce_.wait([this] {
    if (const auto bucket = note_sums()) activity::at_bucket(*bucket);
  });
  is_busy_ = false;
  rest_s_ = phase.seconds();
  timing.reduce_s += rest_s_;
  if (!plan_.keeps_reduction()) time_ += {hidden_s_ + rest_s_, rest_s_};
  return sums_;
}

void GradientExchange::await(std::size_t bucket) {
  activity::at_bucket(bucket);
  const std::vector<plan::Bucket>& all = plan_.buckets();
  const bool has_cores = plan_.keeps_reduction();
  // Nothing hides a delay of what the pass finishes last; and what one operation finishes arrives
  // at once.
  const bool is_urgent = (has_cores && all[bucket].after == 0) ||
                         (bucket > 0 && all[bucket].after == all[bucket - 1].after);
  while (true) {
    if (settled()) {  // there is nothing else to do
      plan_.await_bucket(bucket);
      return;
    }
    if (plan_.bucket_arrived(bucket)) return;
    if (is_urgent) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(has_cores ? nap_elsewhere : nap_on_cpu);
    }
  }
}

void GradientExchange::start(std::size_t end) {
  for (; started_ < end; ++started_) {
    if (!is_busy_) busy_.restart();
    is_busy_ = true;
    buckets_[started_].held_s = buckets_[started_].seen.seconds();
    reduce_.start(started_);
  }
}

bool GradientExchange::settled() {
  if (!is_busy_) return true;
  is_busy_ = !reduce_.progress();
  if (!is_busy_) hidden_s_ += busy_.seconds();
  note_sums();
  return !is_busy_;
}

std::optional<std::size_t> GradientExchange::note_sums() {
  std::optional<std::size_t> first_open;
  for (std::size_t number = 0; number < started_; ++number) {
    Under& bucket = buckets_[number];
    if (bucket.is_noted) continue;
    if (!reduce_.done(number)) {
      if (!first_open) first_open = number;
      continue;
    }
    bucket.is_noted = true;
    const bool is_last = number + 1 == buckets_.size();
    // The last one ends the round.
    if (plan_.keeps_reduction() && !is_last) {
      plan_.return_bucket(number);
      bucket.is_returned = true;
    }
    const plan::Bucket& of = plan_.buckets()[number];
    bool& finite = is_last ? sums_.rest_is_finite : sums_.gradients_are_finite;
    finite = finite && Plan::all_finite(sums_.reduction.subspan(of.begin, of.size()));
  }
  return first_open;
}

void GradientExchange::note_trips() {
  const std::vector<opencl::HostedBuffer::Trip> trips = plan_.take_trips();
  if (trips.empty() || trips.size() != buckets_.size()) return;
  const auto seconds = [&](std::int64_t ns) {
    return static_cast<double>(ns - trips.front().left_ns) * 1e-9;
  };
  const double computed_s = seconds(trips.back().left_ns);
  std::vector<BucketTrip> under_way;
  for (std::size_t i = 0; i < trips.size(); ++i) {
    const double held_s = buckets_[i].held_s;
    double begin_s = seconds(trips[i].left_ns) + held_s;
    if (i >= early_) begin_s = std::max(begin_s, computed_s);
    // The last sum is for the host alone.
    const double end_s = trips[i].back_ns > 0 ? seconds(trips[i].back_ns)
                                              : seconds(trips[i].arrived_ns) + held_s + rest_s_;
    under_way.push_back({begin_s, end_s});
  }
  time_ += communication_time(under_way, computed_s);
}

std::optional<opencl::Mapping>& GradientExchange::map() {
  mapping_.emplace(plan_.map_reduction());
  return mapping_;
}

GradientExchange::Sums GradientExchange::sum_mapped(std::uint64_t step, const StepVotes& votes,
                                                    Timing& timing) {
  const std::span<float> mapped = mapping_->as<float>(), memory = reduce_.memory();
  plan_.vote(mapped, votes);
  activity::enter("all-reduce", step, activity::Kind::wait);
  const Stopwatch watch;
  const bool elsewhere = mapped.data() != memory.data();
  if (elsewhere) std::copy(mapped.begin(), mapped.end(), memory.begin());
  for (std::size_t part = 0; part < reduce_.parts(); ++part) reduce_.start(part);
  reduce_.wait([this] {
    for (std::size_t part = 0; part < reduce_.parts(); ++part) {
      if (!reduce_.done(part)) return activity::at_bucket(part);
    }
  });
  if (elsewhere) std::copy(memory.begin(), memory.end(), mapped.begin());
  const double exposed = watch.seconds();
  timing.reduce_s += exposed;
  time_ += {exposed, exposed};
  const std::size_t gradients = plan_.gradient_elements();
  return {.reduction = mapped,
          .gradients_are_finite = Plan::all_finite(mapped.first(gradients)),
          .rest_is_finite = Plan::all_finite(mapped.subspan(gradients))};
}

void GradientExchange::give_back() {
  if (mapping_) {
    mapping_.reset();
    return;
  }
  for (std::size_t number = 0; number < buckets_.size(); ++number) {
    if (!buckets_[number].is_returned) plan_.return_bucket(number);
  }
}

CommunicationTime GradientExchange::time() {
  note_trips();
  return time_;
}

}  // namespace dovetail
