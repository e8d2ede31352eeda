// Measures, simulates, and sets the simulation of these ranks beside their measurement.
#include "app/bench_scaling.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "app/scaling_shares.hpp"
#include "bench/step_profile.hpp"
#include "support/error.hpp"
#include "support/table.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

constexpr const char* assumed_network = "2:12.5";  // 100 Gbit/s

struct UsedNetwork {
  bench::Network network;
  std::string source;  // "measured", "given" or "assumed"
};

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

std::string percent(double part, double whole) {
  return fmt::format("{:.1f} %", 100 * part / whole);
}

Json network_json(const UsedNetwork& used) {
  return {{"latency_s", used.network.latency_s},
          {"bytes_per_s", used.network.bytes_per_s},
          {"gap_s", used.network.gap_s},
          {"source", used.source}};
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
  const bool strong = options.scaling == "strong";
  if (!strong && options.scaling != "weak") {
    throw UsageError(fmt::format("unknown --scaling '{}'", options.scaling), "Known: weak, strong");
  }
  if (options.ranks_per_host < 0) {
    throw UsageError(
        fmt::format("--ranks-per-host {} must not be negative", options.ranks_per_host),
        "Give a number above 0");
  }
  const std::vector<int> simulated = parse_ranks(options.simulate);
  const int most = *std::max_element(simulated.begin(), simulated.end());
  if (strong && batch < most) {
    throw UsageError(fmt::format("--batch {} has no sample for each of {} ranks", batch, most),
                     "Give a larger batch, or --scaling weak");
  }
  const int here = ranks.size();
  const int per_host = options.ranks_per_host > 0 ? options.ranks_per_host : ranks.local_size();
  if (per_host > 1 && ranks.local_size() == 1) {
    throw UsageError(fmt::format("--ranks-per-host {}: how fast ranks of a host add up their "
                                 "gradients is unknown, since there is one",
                                 per_host),
                     "Start two ranks or more under mpirun");
  }
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

  const bench::SimulatedStep alone = simulate(1, 1), these = simulate(here, ranks.local_size());
  const double measured_s = measured.mean_s;
  const double error = these.step_s / measured_s - 1;
  std::vector<std::vector<std::string>> rows;
  Json points = Json::array();
  for (const int count : simulated) {
    const bench::SimulatedStep step = simulate(count, per_host);
    const double speedup = rate(count, step.step_s) / rate(1, alone.step_s);
    rows.push_back({fmt::format("{}", count), fmt::format("{:.3f} ms", step.step_s * 1e3),
                    percent(step.compute_s, step.step_s), percent(step.imbalance_s, step.step_s),
                    percent(step.exposed_s, step.step_s),
                    fmt::format("{:.0f}", rate(count, step.step_s)), fmt::format("{:.1f}", speedup),
                    percent(speedup, count), step.bound});
    points.push_back({{"ranks", count},
                      {"hosts", (count + per_host - 1) / per_host},
                      {"step_s", step.step_s},
                      {"compute_s", step.compute_s},
                      {"imbalance_s", step.imbalance_s},
                      {"exposed_s", step.exposed_s},
                      {"update_s", step.update_s},
                      {"latency_s", step.latency_s},
                      {"transfer_s", step.transfer_s},
                      {"in_host_s", step.in_host_s},
                      {"samples_per_second", rate(count, step.step_s)},
                      {"speedup", speedup},
                      {"efficiency", speedup / count},
                      {"bound", step.bound}});
  }
  std::size_t bytes = 0;
  for (const std::size_t bucket : profile.bucket_bytes) bytes += bucket;
  ScalingReport report;
  report.text = fmt::format(
      "{}\nmeasured on {}: step {:.3f} ms, of it {:.3f} ms of communication exposed; simulated "
      "{:.3f} ms ({:+.1f} %)\n{} in {} buckets; network {}: {:.2f} us, {:.2f} GB/s, {:.2f} us "
      "between messages; {} a host{}\n{} scaling, simulated:\n{}",
      device.info().name, counted(static_cast<std::uint64_t>(here), "rank"), measured_s * 1e3,
      measured.exposed_s * 1e3, these.step_s * 1e3, 100 * error,
      format_bytes(static_cast<double>(bytes)), profile.bucket_bytes.size(), used.source,
      used.network.latency_s * 1e6, used.network.bytes_per_s / 1e9, used.network.gap_s * 1e6,
      counted(static_cast<std::uint64_t>(per_host), "rank"),
      shares.empty() ? "" : fmt::format("; shares here {}", fmt::join(shares, ":")),
      options.scaling,
      format_table({"ranks", "step", "compute", "imbalance", "exposed", "samples/s", "speed-up",
                    "efficiency", "bound by"},
                   rows));
  Json compute = Json::array();  // by rank
  for (const auto& times : profile.compute) {
    Json rank = Json::array();
    for (const auto& [samples, mean_s] : times)
      rank.push_back({{"samples", samples}, {"seconds", mean_s}});
    compute.push_back(rank);
  }
  report.json = {{"scaling", options.scaling},
                 {"ranks", here},
                 {"ranks_per_host", per_host},
                 {"batch", batch},
                 {"balance", options.balance},
                 {"shares", shares},
                 {"network", network_json(used)},
                 {"profile",
                  {{"compute", compute},
                   {"update_s", profile.update_s},
                   {"bucket_bytes", profile.bucket_bytes},
                   {"bucket_ready", profile.bucket_ready},
                   {"in_host",
                    {{"latency_s", profile.in_host.latency_s},
                     {"bytes_per_s", profile.in_host.bytes_per_s}}}}},
                 {"measured",
                  {{"step", bench::to_json(measured.step)},
                   {"step_mean_s", measured_s},
                   {"exposed_s", measured.exposed_s}}},
                 {"simulated_here", {{"step_s", these.step_s}, {"error", error}}},
                 {"simulated", points}};
  return report;
}

}  // namespace dovetail::app
