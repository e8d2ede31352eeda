// The simulation: ranks draw compute times, buckets queue for the network.
#include "bench/scaling.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "comm/all_reduce.hpp"
#include "support/error.hpp"
#include "support/random.hpp"
#include "support/text.hpp"

namespace dovetail::bench {
namespace {

std::optional<double> positive_number(const std::string& text) {
  std::size_t used = 0;
  try {
    const double value = std::stod(text, &used);
    if (used == text.size() && std::isfinite(value) && value > 0) return value;
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

/// The sum of one bucket, in seconds, by cause.
struct Communication {
  double latency_s = 0, transfer_s = 0, in_host_s = 0;
  double total() const { return latency_s + transfer_s + in_host_s; }
};

Communication communication_of(double bytes, const StepProfile& profile, const Network& network,
                               const Scale& scale) {
  Communication result;
  if (std::min(scale.ranks, scale.ranks_per_host) > 1)
    result.in_host_s = profile.in_host.latency_s + bytes / profile.in_host.bytes_per_s;
  const int hosts = scale.hosts();
  if (hosts == 1) return result;
  // Twice: pieces to whoever adds them up, sums back.
  // As many ranks of each host have a slice as the last host has ranks.
  const int in_last_host = scale.ranks - (hosts - 1) * scale.ranks_per_host;
  const double slice = bytes / in_last_host;
  if (exchange_for(static_cast<std::size_t>(hosts), static_cast<std::size_t>(slice)) ==
      Exchange::direct) {
    result.latency_s = 2 * (network.latency_s + (hosts - 2) * network.gap_s);
    result.transfer_s = 2 * (hosts - 1.0) / hosts * bytes / network.bytes_per_s;
    return result;
  }
  const unsigned partners = std::bit_floor(static_cast<unsigned>(hosts));
  // What has no partner gives all to a neighbour first.
  const int gives = static_cast<unsigned>(hosts) > partners ? 1 : 0;
  result.latency_s = 2 * (std::bit_width(partners) - 1 + gives) * network.latency_s;
  result.transfer_s = 2 * ((partners - 1.0) / partners + gives) * bytes / network.bytes_per_s;
  return result;
}

}  // namespace

Network parse_network(const std::string& text) {
  const auto refuse = [&]() -> double {
    throw UsageError(fmt::format("'{}' is no network", text),
                     "Give microseconds of latency and GB/s, such as 1.5:25, and perhaps the "
                     "microseconds between messages, such as 1.5:25:0.3");
  };
  std::vector<double> numbers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t colon = std::min(text.find(':', begin), text.size());
    const auto number = positive_number(text.substr(begin, colon - begin));
    numbers.push_back(number ? *number : refuse());
    begin = colon + 1;
  }
  if (numbers.size() != 2 && numbers.size() != 3) refuse();
  return {.latency_s = numbers[0] * 1e-6,
          .bytes_per_s = numbers[1] * 1e9,
          .gap_s = (numbers.size() == 3 ? numbers[2] : numbers[0]) * 1e-6};
}

double StepProfile::compute_s(double samples, std::size_t rank) const {
  if (compute.empty() || compute.front().empty())
    throw Error("a step profile without compute times");
  const auto& times = compute[rank % compute.size()];
  if (times.size() == 1) return times.front().second * samples / times.front().first;
  // The two measured neighbours, or the two at the end.
  auto right =
      std::lower_bound(times.begin() + 1, times.end() - 1, samples,
                       [](const auto& measured, double wanted) { return measured.first < wanted; });
  const auto left = right - 1;
  const double slope = (right->second - left->second) / (right->first - left->first);
  return std::max(0.0, left->second + slope * (samples - left->first));
}

double StepProfile::waste_s(double samples, std::size_t rank) const {
  const double needed_s = compute_s(samples, rank);
  double best_s = needed_s / samples;  // a sample
  for (const auto& [measured, seconds] : compute[rank % compute.size()])
    if (measured > samples) best_s = std::min(best_s, seconds / measured);
  return needed_s - best_s * samples;
}

SimulatedStep simulate(const StepProfile& profile, const Network& network, const Scale& scale,
                       std::uint64_t seed, int steps) {
  SimulatedStep result;
  SplitMix64 random(seed);
  std::vector<double> means_s;  // by rank
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(scale.ranks); ++rank) {
    const double samples = scale.samples.empty() ? scale.samples_per_rank : scale.samples.at(rank);
    means_s.push_back(profile.compute_s(samples, rank));
    result.waste_s += profile.waste_s(samples, rank) / scale.ranks;
  }
  std::vector<Communication> sums;
  for (const std::size_t bytes : profile.bucket_bytes) {
    sums.push_back(communication_of(static_cast<double>(bytes), profile, network, scale));
    result.latency_s += sums.back().latency_s;
    result.transfer_s += sums.back().transfer_s;
    result.in_host_s += sums.back().in_host_s;
  }
  double in_all_s = 0, slowest_s = 0, exposed_s = 0;
  for (int step = 0; step < steps; ++step) {
    double sum = 0, slowest = 0;
    for (const double mean_s : means_s) {
      const double drawn =
          profile.jitter.empty() ? 1 : profile.jitter[random.below(profile.jitter.size())];
      sum += mean_s * drawn;
      slowest = std::max(slowest, mean_s * drawn);
    }
    double free_at = 0;  // the network
    for (std::size_t bucket = 0; bucket < sums.size(); ++bucket)
      free_at = std::max(free_at, slowest * profile.bucket_ready[bucket]) + sums[bucket].total();
    in_all_s += sum / scale.ranks;
    slowest_s += slowest;
    exposed_s += scale.ranks > 1 ? std::max(0.0, free_at - slowest) : 0;
  }
  result.compute_s = in_all_s / steps;
  result.imbalance_s = slowest_s / steps - result.compute_s;
  result.exposed_s = exposed_s / steps;
  result.update_s = profile.update_s;
  result.step_s = result.compute_s + result.imbalance_s + result.exposed_s + result.update_s;

  const double all = result.latency_s + result.transfer_s + result.in_host_s;
  const auto exposed_part = [&](double part) {
    return all > 0 ? part / all * result.exposed_s : 0;
  };
  const std::vector<std::pair<double, const char*>> costs{
      {exposed_part(result.latency_s), "latency"},
      {exposed_part(result.transfer_s), "bandwidth"},
      {exposed_part(result.in_host_s), "the host's memory"},
      {result.imbalance_s, "imbalance"},
      {result.waste_s, "few samples a rank"},
      {result.update_s, "update"}};
  result.bound = std::max_element(costs.begin(), costs.end(), [](const auto& a, const auto& b) {
                   return a.first < b.first;
                 })->second;
  return result;
}

}  // namespace dovetail::bench
