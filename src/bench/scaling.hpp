// How long steps take on more ranks than there are here: a discrete simulation of the step, with
// measured compute times and a network of latency and bandwidth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/link.hpp"

namespace dovetail::bench {

/// Between hosts: a message of n bytes takes latency_s + n / bytes_per_s (Hockney 1994), and of
/// several at once each further one comes gap_s later. Hockney's own model has a gap of latency_s.
struct Network {
  double latency_s = 0;
  double bytes_per_s = 1e99;  // of a host, each way
  double gap_s = 0;
};

/// "LATENCY_US:GB_PER_S" or "LATENCY_US:GB_PER_S:GAP_US"; throws UsageError otherwise.
Network parse_network(const std::string& text);

/// What was measured on some ranks of one host at once.
struct StepProfile {
  /// By measured rank: its samples, and the mean seconds until its backward pass is done;
  /// ascending.
  std::vector<std::vector<std::pair<double, double>>> compute;
  std::vector<double> jitter;  // of compute times: each over their mean
  /// By bucket, in the order in which they go out: bytes, and the part of the compute time after
  /// which it is there (the last one's is 1).
  std::vector<std::size_t> bucket_bytes;
  std::vector<double> bucket_ready;
  double update_s = 0;  // and whatever else follows the sums
  LinkModel in_host;    // the sum of n bytes over the ranks of a host; all 0 for one rank

  /// Mean compute seconds of `samples` of a rank: linear between what was measured, and beyond.
  /// Ranks beyond the measured ones are like them, in turn.
  double compute_s(double samples, std::size_t rank = 0) const;
  /// What of it so few samples cost beyond those of the most efficient larger batch measured.
  double waste_s(double samples, std::size_t rank = 0) const;
};

struct Scale {
  int ranks = 1;
  int ranks_per_host = 1;
  double samples_per_rank = 1;
  std::vector<double> samples{};  // by rank, where shares differ
  int hosts() const { return (ranks + ranks_per_host - 1) / ranks_per_host; }
};

/// Seconds of a step, in the mean over simulated ones.
struct SimulatedStep {
  double step_s = 0;
  double compute_s = 0;                                 // mean over the ranks
  double waste_s = 0;                                   // of it, as StepProfile says
  double imbalance_s = 0;                               // that the slowest one takes longer
  double exposed_s = 0;                                 // communication after that
  double latency_s = 0, transfer_s = 0, in_host_s = 0;  // parts of all communication, hidden or not
  double update_s = 0;
  /// What costs most beside compute: "latency", "bandwidth", "the host's memory", "imbalance",
  /// "update", "few samples a rank".
  std::string bound;
};

/// Each rank's compute time is that of its share, times one of the deviations that were measured. A
/// bucket's sum begins when all ranks have it and the one before is done: within hosts, then
/// between them as AllReduce does it (exchange_for): each host sends every other one its piece, and
/// later the sum; or halves with one partner after the other.
SimulatedStep simulate(const StepProfile& profile, const Network& network, const Scale& scale,
                       std::uint64_t seed, int steps = 200);

}  // namespace dovetail::bench
