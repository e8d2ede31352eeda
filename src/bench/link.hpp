// Benchmark of the network between ranks: latency and bandwidth of a link.
#pragma once

#include <cstddef>
#include <vector>

#include "bench/measure.hpp"
#include "comm/communicator.hpp"

namespace dovetail::bench {

/// A message of n bytes takes latency_s + n / bytes_per_s (R. Hockney, Parallel Computing 20,
/// 1994).
struct LinkModel {
  double latency_s = 0;
  double bytes_per_s = 0;
  double worst_error = 0;  // of the fit: |model − measured| / measured, over the sizes
};

struct Message {
  std::size_t bytes = 0;
  Timing one_way;
};

/// Least squares over relative errors, so that small messages count as much as large ones. Needs
/// two sizes at least; throws Error otherwise.
LinkModel fit(const std::vector<Message>& messages);

/// Ping-pong between rank 0 and `peer`, half a round trip a message. Collective; the result is rank
/// 0's, others get an empty list.
std::vector<Message> ping_pong(const Communicator& ranks, int peer,
                               const std::vector<std::size_t>& sizes);

}  // namespace dovetail::bench
