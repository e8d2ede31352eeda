// What a device can do at best, measured in the same run as what is compared with it.
#pragma once

#include "bench/measure.hpp"

namespace dovetail::bench {

struct Ceilings {
  double flops = 0;             // float32 multiply-adds a second, two operations each
  double copy_bytes_per_s = 0;  // device memory to device memory, read and written bytes added
  double launch_s = 0;          // a launch of an empty range's worth of work, queued
  double round_trip_s = 0;      // the same with a wait behind each
};

/// kernels/ceiling.cl: chains of multiply-adds in registers; a copy of buffers far beyond the
/// caches.
Ceilings measure_ceilings(opencl::Device& device);

Json to_json(const Ceilings& ceilings);

/// The ceilings in a line for people.
std::string to_text(const Ceilings& ceilings);

/// Seconds below which no implementation can stay: the longer of arithmetic and memory traffic
/// (S. Williams et al., "Roofline", CACM 52(4), 2009).
double floor_s(const Ceilings& ceilings, double operations, double bytes);

}  // namespace dovetail::bench
