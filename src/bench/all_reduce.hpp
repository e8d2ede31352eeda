// Benchmark of sums over ranks, from device buffer to device buffer.
#pragma once

#include <cstddef>
#include <vector>

#include "bench/measure.hpp"
#include "comm/all_reduce.hpp"
#include "comm/communicator.hpp"

namespace dovetail::bench {

/// One size, written by a kernel before and read by a kernel behind.
struct Reduction {
  std::size_t bytes = 0;
  std::size_t parts = 0;  // that it is cut into
  int groups = 1;         // of ranks that share memory
  Timing device_to_device;
  Timing staged;        // a blocking read, MPI_Allreduce of host memory, a blocking write
  Timing host_to_host;  // MPI_Allreduce of host memory alone
  /// How many times as long the staged one took, by the medians of samples taken in turns.
  double speedup() const { return staged.median_s / device_to_device.median_s; }
};

/// Collective. Throws Error where a sum is wrong.
/// @param part_bytes of the parts that are on their way at the same time.
std::vector<Reduction> all_reduces(const Communicator& ranks, opencl::Device& device,
                                   const std::vector<std::size_t>& sizes, std::size_t part_bytes,
                                   const AllReduceOptions& options);

}  // namespace dovetail::bench
