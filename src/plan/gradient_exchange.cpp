// Looks after the device and the other ranks in turns.
#include "plan/gradient_exchange.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "support/activity.hpp"
#include "support/clock.hpp"

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

std::span<float> GradientExchange::sum(std::uint64_t step, const StepVotes& votes, Timing& timing) {
  const std::size_t buckets = plan_.buckets().size();
  const auto nap = plan_.keeps_reduction() ? nap_elsewhere : nap_on_cpu;
  is_returned_.assign(buckets, false);
  started_ = 0;
  Stopwatch phase;
  Stopwatch busy;  // while parts are under way
  bool is_busy = false;
  const auto start = [&](std::size_t part) {
    if (!is_busy) busy.restart();
    is_busy = true;
    reduce_.start(part);
    started_ = part + 1;
  };
  const auto settled = [&] {
    if (!is_busy) return true;
    is_busy = !reduce_.progress();
    if (!is_busy) time_.total_s += busy.seconds();
    return_done();
    return !is_busy;
  };
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    while (true) {
      if (settled() || !overlap_) {  // there is nothing else to do
        plan_.await_bucket(bucket);
        break;
      }
      if (plan_.bucket_arrived(bucket)) break;
      std::this_thread::sleep_for(nap);
    }
    if (bucket + 1 == buckets) plan_.vote(plan_.reduction(), votes);
    if (overlap_ && bucket + 1 < buckets) start(bucket);
  }
  time_.total_s += is_busy ? busy.seconds() : 0;  // hidden
  timing.compute_s += phase.restart();
  activity::enter("all-reduce", step, activity::Kind::wait);
  for (std::size_t bucket = overlap_ ? buckets - 1 : 0; bucket < buckets; ++bucket) start(bucket);
  reduce_.wait([this] { return_done(); });
  const double exposed = phase.seconds();
  time_.total_s += exposed;
  time_.exposed_s += exposed;
  timing.reduce_s += exposed;
  return plan_.reduction();
}

std::optional<opencl::Mapping>& GradientExchange::map() {
  mapping_.emplace(plan_.map_reduction());
  return mapping_;
}

std::span<float> GradientExchange::sum_mapped(std::uint64_t step, const StepVotes& votes,
                                              Timing& timing) {
  const std::span<float> mapped = mapping_->as<float>(), memory = reduce_.memory();
  plan_.vote(mapped, votes);
  activity::enter("all-reduce", step, activity::Kind::wait);
  const Stopwatch watch;
  const bool elsewhere = mapped.data() != memory.data();
  if (elsewhere) std::copy(mapped.begin(), mapped.end(), memory.begin());
  for (std::size_t part = 0; part < reduce_.parts(); ++part) reduce_.start(part);
  reduce_.wait();
  if (elsewhere) std::copy(memory.begin(), memory.end(), mapped.begin());
  const double exposed = watch.seconds();
  timing.reduce_s += exposed;
  time_.total_s += exposed;
  time_.exposed_s += exposed;
  return mapped;
}

void GradientExchange::return_done() {
  if (!plan_.keeps_reduction()) return;
  // The last one ends the round.
  for (std::size_t bucket = 0; bucket + 1 < started_; ++bucket) {
    if (is_returned_[bucket] || !reduce_.done(bucket)) continue;
    plan_.return_bucket(bucket);
    is_returned_[bucket] = true;
  }
}

void GradientExchange::give_back() {
  if (mapping_) {
    mapping_.reset();
    return;
  }
  for (std::size_t bucket = 0; bucket < plan_.buckets().size(); ++bucket) {
    if (!is_returned_[bucket]) plan_.return_bucket(bucket);
  }
}

}  // namespace dovetail
