// Queues calls until a sample is long enough for the clock, and sorts the samples.
#include "bench/measure.hpp"

#include <algorithm>

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

Json to_json(const Timing& timing) {
  return {{"median_s", timing.median_s},
          {"low_s", timing.low_s},
          {"high_s", timing.high_s},
          {"samples", timing.samples}};
}

}  // namespace dovetail::bench
