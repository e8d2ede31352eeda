// Samples of both ways in turns, so that whatever else the hosts do slows both down.
#include "bench/all_reduce.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

#include "device/opencl/hosted_buffer.hpp"
#include "dovetail_kernels.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::bench {
namespace {

constexpr double seconds_a_size = 0.6;
constexpr std::size_t group = 256;  // work-items

/// Buffers of one size, filled with ones before each sum.
class Bench {
 public:
  Bench(const Communicator& ranks, opencl::Device& device, std::size_t count,
        std::size_t part_bytes, const AllReduceOptions& options)
      : ranks_(ranks),
        device_(device),
        copy_(device.build(kernels::ceiling, {"VALUE=float"}).kernel(kernels::ceiling_::copy)),
        range_{{count, 1, 1}, {group, 1, 1}},
        reduce_(ranks, parts(count, part_bytes), options),
        hosted_(device, count * sizeof(float), std::as_writable_bytes(reduce_.memory())),
        plain_(device.allocate(count * sizeof(float))),
        target_(device.allocate(count * sizeof(float))),
        host_(count) {
    const std::vector<float> ones(count, 1.0f);
    source_ = device.upload<float>(ones);
  }

  double device_to_device() {
    fill(hosted_.buffer());
    const Stopwatch watch;
    for (const ReductionPart& part : parts_)
      hosted_.hand_over(part.begin * sizeof(float), part.count * sizeof(float));
    device_.flush();
    std::size_t started = 0, returned = 0;
    while (returned < parts_.size()) {
      if (started < parts_.size() && hosted_.arrived(started)) reduce_.start(started++);
      reduce_.progress();
      while (returned < started && reduce_.done(returned)) hosted_.give_back(returned++);
      std::this_thread::yield();
    }
    return finish(hosted_.buffer(), watch);
  }

  double staged() {
    fill(plain_);
    const Stopwatch watch;
    device_.read(plain_, host_.data(), plain_.bytes());
    ranks_.all_reduce_sum_at_once(host_);
    device_.write(plain_, host_.data(), plain_.bytes());
    return finish(plain_, watch);
  }

  double host_to_host() {
    ranks_.barrier();
    const Stopwatch watch;
    ranks_.all_reduce_sum_at_once(host_);
    return watch.seconds();
  }

  /// What the kernel behind the latest sum has read.
  void check() {
    constexpr float rounding = 1e-3f;  // of a code
    for (const float value : device_.download<float>(target_)) {
      if (std::abs(value - static_cast<float>(ranks_.size())) < rounding) continue;
      throw Error(fmt::format("an all-reduce over {} ranks gave {}", ranks_.size(), value),
                  "Look for faulty memory, network or MPI library");
    }
  }

  std::size_t part_count() const { return parts_.size(); }
  int groups() const { return reduce_.groups(); }

 private:
  std::vector<ReductionPart> parts(std::size_t count, std::size_t part_bytes) {
    const std::size_t each = std::max<std::size_t>(part_bytes / sizeof(float) / group, 1) * group;
    for (std::size_t begin = 0; begin < count; begin += each)
      parts_.push_back({begin, std::min(each, count - begin)});
    return parts_;
  }
  void fill(const opencl::Buffer& gradients) {
    device_.launch(copy_, range_, source_, gradients);
    device_.finish();
    ranks_.barrier();
  }
  double finish(const opencl::Buffer& sums, const Stopwatch& watch) {
    device_.launch(copy_, range_, sums, target_);
    device_.finish();
    return watch.seconds();
  }

  const Communicator& ranks_;
  opencl::Device& device_;
  opencl::Kernel copy_;
  opencl::Range range_;
  std::vector<ReductionPart> parts_;  // before reduce_, which is made of them
  AllReduce reduce_;
  opencl::HostedBuffer hosted_;
  opencl::Buffer source_, plain_, target_;
  std::vector<float> host_;
};

}  // namespace

std::vector<Reduction> all_reduces(const Communicator& ranks, opencl::Device& device,
                                   const std::vector<std::size_t>& sizes, std::size_t part_bytes,
                                   const AllReduceOptions& options) {
  std::vector<Reduction> reductions;
  for (const std::size_t bytes : sizes) {
    const std::size_t count = std::max<std::size_t>(bytes / sizeof(float) / group, 1) * group;
    Bench bench(ranks, device, count, part_bytes, options);
    const Stopwatch watch;
    bench.device_to_device();
    bench.check();
    bench.staged();
    bench.check();
    bench.host_to_host();
    const double once = ranks.all_reduce_max(watch.seconds());
    const int samples = std::clamp(static_cast<int>(seconds_a_size / once), 5, 1000);
    std::vector<double> ours, staged, host;
    for (int i = 0; i < samples; ++i) {
      ours.push_back(bench.device_to_device());
      if (i + 1 == samples) bench.check();
      staged.push_back(bench.staged());
      host.push_back(bench.host_to_host());
    }
    reductions.push_back({count * sizeof(float), bench.part_count(), bench.groups(),
                          spread(std::move(ours)), spread(std::move(staged)),
                          spread(std::move(host))});
  }
  return reductions;
}

}  // namespace dovetail::bench
