// `dovetail bench link`, `bench allreduce` and `bench scaling`: between ranks.

#include "app/bench_commands.hpp"
#include "bench/all_reduce.hpp"
#include "bench/link.hpp"
#include "support/error.hpp"
#include "support/table.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

const std::vector<std::size_t> message_sizes{8,      64,      512,     4096,     32768,
                                             262144, 1048576, 4194304, 16777216, 67108864};

void expect_peers(const Communicator& world, const char* what) {
  if (world.size() > 1) return;
  throw UsageError(fmt::format("bench {} needs two ranks at least", what),
                   fmt::format("mpirun -n 2 dovetail bench {}", what));
}

}  // namespace

void bench_link(const Bench& bench) {
  expect_peers(bench.world, "link");
  Json links = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (int peer = 1; peer < bench.world.size(); ++peer) {
    const auto messages = bench::ping_pong(bench.world, peer, message_sizes);
    if (!bench.world.is_lead()) continue;
    const bench::LinkModel model = bench::fit(messages);
    Json sizes = Json::array();
    for (const auto& message : messages)
      sizes.push_back({{"bytes", message.bytes}, {"one_way", to_json(message.one_way)}});
    const auto& hosts = bench.world.hosts();
    links.push_back({{"from", hosts[0]},
                     {"to", hosts[static_cast<std::size_t>(peer)]},
                     {"peer", peer},
                     {"latency_s", model.latency_s},
                     {"bytes_per_s", model.bytes_per_s},
                     {"worst_fit_error", model.worst_error},
                     {"messages", sizes}});
    rows.push_back(
        {fmt::format("0 on {} - {} on {}", hosts[0], peer, hosts[static_cast<std::size_t>(peer)]),
         fmt::format("{:.2f} us", messages.front().one_way.median_s * 1e6),
         fmt::format("{:.2f} GB/s", static_cast<double>(messages.back().bytes) /
                                        messages.back().one_way.median_s / 1e9),
         fmt::format("{:.2f} us + n / {:.2f} GB/s", model.latency_s * 1e6, model.bytes_per_s / 1e9),
         fmt::format("{:.0f} %", 100 * model.worst_error)});
  }
  bench.write(format_table({"ranks", "8 B", "64 MiB", "fit", "worst error"}, rows),
              {{"benchmark", "link"}, {"links", links}});
}

void bench_allreduce(const Bench& bench) {
  expect_peers(bench.world, "allreduce");
  const std::vector<std::size_t> sizes(message_sizes.begin() + 3, message_sizes.end());
  AllReduceOptions options{.compression = parse_compression(bench.options.compression),
                           .exchange = parse_exchange(bench.options.exchange),
                           .threads = AllReduce::threads_for(bench.world, bench.device.is_cpu())};
  if (bench.options.reduce == "flat") options.ranks_per_group = 1;
  const auto part = static_cast<std::size_t>(bench.options.bucket_mb.value_or(4) * (1 << 20));
  const auto reductions =
      bench::all_reduces(bench.world, bench.device, sizes, part > 0 ? part : sizes.back(), options);
  Json json = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& reduction : reductions) {
    const double bytes = static_cast<double>(reduction.bytes);
    const auto cell = [&](const bench::Timing& timing) {
      return fmt::format("{:.1f} us, {:.2f} GB/s", timing.median_s * 1e6,
                         bytes / timing.median_s / 1e9);
    };
    json.push_back({{"bytes", reduction.bytes},
                    {"parts", reduction.parts},
                    {"device_to_device", to_json(reduction.device_to_device)},
                    {"staged", to_json(reduction.staged)},
                    {"host_to_host", to_json(reduction.host_to_host)},
                    {"speedup", reduction.speedup()}});
    rows.push_back({format_bytes(bytes), cell(reduction.device_to_device), cell(reduction.staged),
                    fmt::format("{:.2f}", reduction.speedup()), cell(reduction.host_to_host)});
  }
  bench.write(format_table({"gradients", "device to device", "staged MPI_Allreduce",
                            "times as long", "MPI_Allreduce of host memory"},
                           rows),
              {{"benchmark", "allreduce"},
               {"device", bench.device.info().name},
               {"ranks", bench.world.size()},
               {"groups", reductions.front().groups},
               {"compression", bench.options.compression},
               {"exchange", bench.options.exchange},
               {"threads", options.threads},
               {"sizes", json}});
}

void bench_many_ranks(const Bench& bench) {
  const BenchOptions& options = bench.options;
  ScalingReport report =
      bench_scaling(bench.world, bench.device, make_bench_model(options), options.step.batch,
                    options.step.seconds, options.step.format, options.scaling);
  report.json["benchmark"] = "scaling";
  report.json["device"] = bench.device.info().name;
  report.json["model"] = options.model;
  report.json["devices"] = options.devices;
  bench.write(report.text, report.json);
}

}  // namespace dovetail::app
