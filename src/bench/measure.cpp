// Queues calls until a sample is long enough for the clock, and sorts the samples.
#include "bench/measure.hpp"

#include <algorithm>
#include <ctime>

#include "support/clock.hpp"
#include "support/error.hpp"

namespace dovetail::bench {

Timing spread(std::vector<double> seconds) {
  if (seconds.empty())
    throw Error("nothing was measured", "Report this: it is a programming error");
  std::sort(seconds.begin(), seconds.end());
  const std::size_t count = seconds.size();
  const auto at = [&](double share) {
    return seconds[static_cast<std::size_t>(share * static_cast<double>(count - 1) + 0.5)];
  };
  const double median = (seconds[(count - 1) / 2] + seconds[count / 2]) / 2;
  return {median, at(0.1), at(0.9), static_cast<int>(count)};
}

Timing measure(opencl::Device& device, const std::function<void()>& call,
               const MeasureOptions& options) {
  const auto time = [&](int calls) {
    const Stopwatch watch;
    for (int i = 0; i < calls; ++i) call();
    device.finish();
    return watch.seconds() / calls;
  };
  time(1);  // compiles
  const double guess = std::max(time(2), 1e-9);
  const int calls = std::max(1, static_cast<int>(options.sample_s / guess));
  const auto samples = static_cast<int>(options.total_s / (guess * calls));
  std::vector<double> seconds(
      static_cast<std::size_t>(std::clamp(samples, options.least_samples, 1000)));
  time(calls);  // warms up
  for (double& sample : seconds) sample = time(calls);
  return spread(std::move(seconds));
}

HostTiming measure_host(const std::function<void()>& call, double seconds) {
  constexpr int warm_up_calls = 5;
  constexpr std::size_t least_calls = 10, most_calls = 100000;
  for (int i = 0; i < warm_up_calls; ++i) call();
  std::vector<double> wall, cores;
  const Stopwatch whole;
  while (wall.size() < least_calls || (whole.seconds() < seconds && wall.size() < most_calls)) {
    const std::clock_t begin = std::clock();
    const Stopwatch watch;
    call();
    wall.push_back(watch.seconds());
    cores.push_back(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return {spread(std::move(wall)), spread(std::move(cores))};
}

Json to_json(const Timing& timing) {
  return {{"median_s", timing.median_s},
          {"low_s", timing.low_s},
          {"high_s", timing.high_s},
          {"samples", timing.samples}};
}

}  // namespace dovetail::bench
