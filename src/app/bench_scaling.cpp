// Measures on the ranks that there are, then simulates them and others.
#include "app/bench_scaling.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "app/scaling_shares.hpp"
#include "bench/step_profile.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

constexpr const char* assumed_network = "2:12.5";  // 100 Gbit/s

std::vector<int> parse_ranks(const std::string& text) {
  std::vector<int> ranks;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, comma - begin);
    if (word.empty() || word.size() > 6 || word.find_first_not_of("0123456789") != word.npos ||
        std::stoi(word) < 1) {
      throw UsageError(fmt::format("--simulate '{}' is no list of numbers of ranks", text),
                       "Such as 2,4,8,1024");
    }
    ranks.push_back(std::stoi(word));
    begin = comma + 1;
  }
  return ranks;
}

bool is_strong(const ScalingOptions& options) {
  if (options.scaling == "strong") return true;
  if (options.scaling == "weak") return false;
  throw UsageError(fmt::format("unknown --scaling '{}'", options.scaling), "Known: weak, strong");
}

std::vector<int> ranks_to_simulate(const ScalingOptions& options, int batch) {
  const std::vector<int> ranks = parse_ranks(options.simulate);
  const int most = *std::max_element(ranks.begin(), ranks.end());
  if (is_strong(options) && batch < most) {
    throw UsageError(fmt::format("--batch {} has no sample for each of {} ranks", batch, most),
                     "Give a larger batch, or --scaling weak");
  }
  return ranks;
}

/// Of the simulated hosts.
int ranks_of_a_host(const ScalingOptions& options, const Communicator& ranks) {
  if (options.ranks_per_host < 0) {
    throw UsageError(
        fmt::format("--ranks-per-host {} must not be negative", options.ranks_per_host),
        "Give a number above 0");
  }
  const int per_host = options.ranks_per_host > 0 ? options.ranks_per_host : ranks.local_size();
  if (per_host > 1 && ranks.local_size() == 1) {
    throw UsageError(fmt::format("--ranks-per-host {}: how fast ranks of a host add up their "
                                 "gradients is unknown, since there is one",
                                 per_host),
                     "Start two ranks or more under mpirun");
  }
  return per_host;
}

/// Between rank 0 and the first rank of another host, where there is one.
std::optional<bench::Network> measured_network(const Communicator& ranks) {
  const auto& hosts = ranks.hosts();
  const auto other = std::find_if(hosts.begin(), hosts.end(),
                                  [&](const std::string& host) { return host != hosts.front(); });
  if (other == hosts.end()) return std::nullopt;
  const auto messages = bench::ping_pong(ranks, static_cast<int>(other - hosts.begin()),
                                         {8, 512, 32768, 1 << 20, 1 << 23});
  bench::Network network;
  if (ranks.is_lead()) {
    const bench::LinkModel link = bench::fit(messages);
    network = {
        .latency_s = link.latency_s, .bytes_per_s = link.bytes_per_s, .gap_s = link.latency_s};
  }
  ranks.broadcast(std::span(&network, 1), 0);
  return network;
}

UsedNetwork network_of(const Communicator& ranks, const ScalingOptions& options) {
  if (!options.network.empty()) return {bench::parse_network(options.network), "given"};
  if (const auto measured = measured_network(ranks)) return {*measured, "measured"};
  return {bench::parse_network(assumed_network), "assumed"};
}

double samples_per_rank(int batch, int ranks_here, int ranks, bool strong) {
  return static_cast<double>(batch) / (strong ? ranks : ranks_here);
}

/// The sizes to measure: that of these ranks, those of their shares and, where ranks share one
/// batch, smaller ones.
std::vector<int> sizes_to_measure(int batch, int ranks_here, const std::vector<int>& simulated,
                                  bool strong, const Balancer& balancer) {
  std::vector<int> sizes{std::max(1, batch / ranks_here)};
  const auto add = [&](int size) {
    if (std::find(sizes.begin(), sizes.end(), size) == sizes.end()) sizes.push_back(size);
  };
  for (const std::size_t count : balancer.counts()) add(static_cast<int>(count));
  if (balancer.adapts()) {  // to shares that are not known yet
    add(std::max(1, sizes.front() / 2));
    add(sizes.front() + sizes.front() / 2);
  }
  if (!strong) return sizes;
  const int least = std::max(1, batch / *std::max_element(simulated.begin(), simulated.end()));
  for (int size = sizes.front() / 4; size > least; size /= 4) add(size);
  add(std::min(least, sizes.front()));
  return sizes;
}

}  // namespace

void ScalingOptions::add_to(CommandLine& line) {
  line.add("simulate", simulate, "scaling: numbers of ranks to simulate");
  line.add("scaling", scaling,
           "scaling: weak (each rank keeps its samples) or strong (all share --batch)");
  line.add("network", network,
           "scaling: between hosts, LATENCY_US:GB_PER_S[:GAP_US]; by default as measured between "
           "the hosts of this job, or 2:12.5");
  line.add("ranks-per-host", ranks_per_host,
           "scaling: of the simulated hosts; by default as many as are on this one");
  line.add("balance", balance,
           "scaling: shares of the batch, as dovetail train takes them: equal; 3:1, one number a "
           "measured rank; or auto. Simulated ranks are like the measured ones in turn");
}

ScalingReport bench_scaling(Communicator& ranks, opencl::Device& device, const Model& model,
                            int batch, double seconds, ComputeFormat format,
                            const ScalingOptions& options) {
  const bool strong = is_strong(options);
  const std::vector<int> simulated = ranks_to_simulate(options, batch);
  const int here = ranks.size(), per_host = ranks_of_a_host(options, ranks);
  const BalanceSettings balance = parse_balance(options.balance);
  const Balancer balancer(balance, static_cast<std::size_t>(batch), static_cast<std::size_t>(here));
  plan::Tuner tuner(device);
  const auto bucket_bytes = static_cast<std::size_t>(options.bucket_mb * (1 << 20));
  const bench::StepProfile profile = bench::profile_steps(
      ranks, tuner, device, model,
      {.samples_per_rank = sizes_to_measure(batch, here, simulated, strong, balancer),
       .seconds = seconds / 2,
       .bucket_bytes = bucket_bytes,
       .format = format});
  const auto shares_of = [&](int count) {
    const double all = samples_per_rank(batch, here, count, strong) * count;
    return simulated_shares(balance, profile, static_cast<std::size_t>(std::llround(all)),
                            static_cast<std::size_t>(count));
  };
  const std::vector<double> shares = shares_of(here);
  const bench::MeasuredStep measured = bench::measure_step(ranks, tuner, device, model,
                                                           {.batch = batch,
                                                            .weights = shares,
                                                            .seconds = seconds / 2,
                                                            .format = format,
                                                            .bucket_bytes = bucket_bytes});
  const UsedNetwork used = network_of(ranks, options);
  const auto simulate = [&](int count, int on_a_host) {
    return bench::simulate(profile, used.network,
                           {.ranks = count,
                            .ranks_per_host = on_a_host,
                            .samples_per_rank = samples_per_rank(batch, here, count, strong),
                            .samples = shares_of(count)},
                           1);
  };
  const auto rate = [&](int count, double step_s) {
    return samples_per_rank(batch, here, count, strong) * count / step_s;
  };

  ScalingFindings findings{.device = device.info().name,
                           .ranks = here,
                           .ranks_per_host = per_host,
                           .batch = batch,
                           .scaling = options.scaling,
                           .balance = options.balance,
                           .shares = shares,
                           .profile = profile,
                           .measured = measured,
                           .network = used,
                           .simulated_here = simulate(here, ranks.local_size())};
  const double alone = rate(1, simulate(1, 1).step_s);
  for (const int count : simulated) {
    const bench::SimulatedStep step = simulate(count, per_host);
    const double samples_per_second = rate(count, step.step_s);
    findings.points.push_back({.ranks = count,
                               .hosts = (count + per_host - 1) / per_host,
                               .step = step,
                               .samples_per_second = samples_per_second,
                               .speedup = samples_per_second / alone});
  }
  return report_of(findings);
}

}  // namespace dovetail::app
