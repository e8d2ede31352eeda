// Repeated timing of a call: warm-up, then samples of which the median and the spread are kept.
#pragma once

#include <functional>
#include <vector>

#include "device/opencl/device.hpp"
#include "support/json.hpp"

namespace dovetail::bench {

/// Seconds of one call. A tenth of the samples lies below `low_s`, a tenth above `high_s`.
struct Timing {
  double median_s = 0;
  double low_s = 0;
  double high_s = 0;
  int samples = 0;
};

/// Median and spread of seconds, in any order, at least one. The median of an even number is the
/// mean of the two in the middle.
Timing spread(std::vector<double> seconds);

struct MeasureOptions {
  double sample_s = 0.005;  // calls are queued for so long, then waited for
  double total_s = 0.5;     // of all samples together, about
  int least_samples = 7;
};

/// Times `call`, which only enqueues work on `device`: calls are queued back to back as in a
/// training step, so a launch costs what it costs there. The first calls, which compile and warm
/// the caches, are not counted.
Timing measure(opencl::Device& device, const std::function<void()>& call,
               const MeasureOptions& options = {});

/// One call that waits for its own end: by the clock on the wall, and by what all threads of this
/// process took of the host's cores, which other programs hardly lengthen.
struct HostTiming {
  Timing wall, cores;
};

/// Times `call` for about `seconds`, ten times at least, after some calls to warm up.
HostTiming measure_host(const std::function<void()>& call, double seconds);

/// {"median_s", "low_s", "high_s", "samples"}.
Json to_json(const Timing& timing);

}  // namespace dovetail::bench
