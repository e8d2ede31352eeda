// A table for people, and everything as JSON.
#include "app/scaling_report.hpp"

#include "bench/measure.hpp"
#include "support/table.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

using Point = ScalingFindings::Point;

/// Of the simulated step of these ranks over the measured one.
double error_of(const ScalingFindings& findings) {
  return findings.simulated_here.step_s / findings.measured.mean_s - 1;
}

std::string percent(double part, double whole) {
  return fmt::format("{:.1f} %", 100 * part / whole);
}

std::string table_of(const std::vector<Point>& points) {
  std::vector<std::vector<std::string>> rows;
  for (const Point& point : points) {
    const bench::SimulatedStep& step = point.step;
    rows.push_back(
        {fmt::format("{}", point.ranks), fmt::format("{:.3f} ms", step.step_s * 1e3),
         percent(step.compute_s, step.step_s), percent(step.imbalance_s, step.step_s),
         percent(step.exposed_s, step.step_s), fmt::format("{:.0f}", point.samples_per_second),
         fmt::format("{:.1f}", point.speedup), percent(point.speedup, point.ranks), step.bound});
  }
  return format_table({"ranks", "step", "compute", "imbalance", "exposed", "samples/s", "speed-up",
                       "efficiency", "bound by"},
                      rows);
}

std::string text_of(const ScalingFindings& findings) {
  std::size_t bytes = 0;
  for (const std::size_t bucket : findings.profile.bucket_bytes) bytes += bucket;
  const bench::Network& network = findings.network.network;
  const std::string measured = fmt::format(
      "measured on {}: step {:.3f} ms, of it {:.3f} ms of communication exposed; simulated {:.3f} "
      "ms ({:+.1f} %)",
      counted(static_cast<std::uint64_t>(findings.ranks), "rank"), findings.measured.mean_s * 1e3,
      findings.measured.exposed_s * 1e3, findings.simulated_here.step_s * 1e3,
      100 * error_of(findings));
  const std::string assumptions = fmt::format(
      "{} in {} buckets; network {}: {:.2f} us, {:.2f} GB/s, {:.2f} us between messages; {} a "
      "host{}",
      format_bytes(static_cast<double>(bytes)), findings.profile.bucket_bytes.size(),
      findings.network.source, network.latency_s * 1e6, network.bytes_per_s / 1e9,
      network.gap_s * 1e6, counted(static_cast<std::uint64_t>(findings.ranks_per_host), "rank"),
      findings.shares.empty() ? ""
                              : fmt::format("; shares here {}", fmt::join(findings.shares, ":")));
  return fmt::format("{}\n{}\n{}\n{} scaling, simulated:\n{}", findings.device, measured,
                     assumptions, findings.scaling, table_of(findings.points));
}

Json profile_json(const bench::StepProfile& profile) {
  Json compute = Json::array();  // by rank
  for (const auto& times : profile.compute) {
    Json rank = Json::array();
    for (const auto& [samples, mean_s] : times)
      rank.push_back({{"samples", samples}, {"seconds", mean_s}});
    compute.push_back(rank);
  }
  return {
      {"compute", compute},
      {"update_s", profile.update_s},
      {"bucket_bytes", profile.bucket_bytes},
      {"bucket_ready", profile.bucket_ready},
      {"in_host",
       {{"latency_s", profile.in_host.latency_s}, {"bytes_per_s", profile.in_host.bytes_per_s}}}};
}

Json points_json(const std::vector<Point>& points) {
  Json all = Json::array();
  for (const Point& point : points) {
    const bench::SimulatedStep& step = point.step;
    all.push_back({{"ranks", point.ranks},
                   {"hosts", point.hosts},
                   {"step_s", step.step_s},
                   {"compute_s", step.compute_s},
                   {"waste_s", step.waste_s},
                   {"imbalance_s", step.imbalance_s},
                   {"exposed_s", step.exposed_s},
                   {"update_s", step.update_s},
                   {"latency_s", step.latency_s},
                   {"transfer_s", step.transfer_s},
                   {"in_host_s", step.in_host_s},
                   {"samples_per_second", point.samples_per_second},
                   {"speedup", point.speedup},
                   {"efficiency", point.speedup / point.ranks},
                   {"bound", step.bound}});
  }
  return all;
}

}  // namespace

ScalingReport report_of(const ScalingFindings& findings) {
  const bench::Network& network = findings.network.network;
  Json json{{"scaling", findings.scaling},
            {"ranks", findings.ranks},
            {"ranks_per_host", findings.ranks_per_host},
            {"batch", findings.batch},
            {"balance", findings.balance},
            {"shares", findings.shares},
            {"network",
             {{"latency_s", network.latency_s},
              {"bytes_per_s", network.bytes_per_s},
              {"gap_s", network.gap_s},
              {"source", findings.network.source}}},
            {"profile", profile_json(findings.profile)},
            {"measured",
             {{"step", bench::to_json(findings.measured.step)},
              {"step_mean_s", findings.measured.mean_s},
              {"exposed_s", findings.measured.exposed_s}}},
            {"simulated_here",
             {{"step_s", findings.simulated_here.step_s}, {"error", error_of(findings)}}},
            {"simulated", points_json(findings.points)}};
  return {text_of(findings), std::move(json)};
}

}  // namespace dovetail::app
