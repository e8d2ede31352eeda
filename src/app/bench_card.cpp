// Times an engine of CardEngines.
#include "app/bench_card.hpp"

#include <algorithm>

#include "app/card_engines.hpp"
#include "bench/measure.hpp"
#include "plan/fpga_network.hpp"
#include "quant/weight_pack.hpp"
#include "support/random.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

/// Initial weights, and ranges as the network's activations roughly have them.
quant::WeightPack random_pack(const Model& model, const std::string& format) {
  const auto channels = static_cast<std::size_t>(model.input().channels);
  const InputStatistics input{std::vector<float>(channels, 0.5f),
                              std::vector<float>(channels, 0.25f)};
  const Plan::Ranges ranges{2.0f, std::vector<float>(model.layers().size(), 4.0f)};
  return quant::pack(plan::fpga_network(model, model.initial_parameters(1),
                                        model.initial_statistics(), input, ranges),
                     format, 0);
}

std::vector<std::uint8_t> random_images(const Model& model, std::size_t count) {
  SplitMix64 random(1);
  std::vector<std::uint8_t> images(count * static_cast<std::size_t>(model.input().size()));
  for (auto& value : images) value = static_cast<std::uint8_t>(random.below(256));
  return images;
}

}  // namespace

CardReport bench_card(const Model& model, const CardBenchmark& benchmark,
                      const RankPlacement& placement, const PlacementOptions& options) {
  quant::check_inference_format(benchmark.format);
  const quant::WeightPack pack = random_pack(model, benchmark.format);
  CardEngines engines(placement, options, {benchmark.format});
  const std::unique_ptr<infer::Inference> engine = engines.open(benchmark.format);
  engine->load(pack);
  const auto count = static_cast<std::size_t>(benchmark.batch);
  const std::vector<std::uint8_t> images = random_images(model, count);
  const bench::HostTiming timing =
      bench::measure_host([&] { engine->run(images, count); }, benchmark.seconds);

  const double rate = benchmark.batch / timing.wall.median_s;
  const double core_rate = benchmark.batch / timing.cores.median_s;
  const Json json{{"benchmark", "infer"},
                  {"device", placement.device.name},
                  {"backend", placement.emulated ? "emulated" : "card"},
                  {"model", benchmark.model},
                  {"format", benchmark.format},
                  {"batch", benchmark.batch},
                  {"timing", to_json(timing.wall)},
                  {"samples_per_second", rate},
                  {"host_timing", to_json(timing.cores)},
                  {"samples_per_core_second", core_rate}};
  std::string text = fmt::format(
      "{} in {} on {}, batch {}: {:.3f} ms ({:.3f}..{:.3f}), {:.0f} samples a second",
      benchmark.model, benchmark.format, placement.device.name, benchmark.batch,
      timing.wall.median_s * 1e3, timing.wall.low_s * 1e3, timing.wall.high_s * 1e3, rate);
  if (placement.emulated) {
    text += fmt::format(
        "\nemulated, a program of this host: {:.0f} samples a second of one core's time "
        "({:.0f}..{:.0f}); no FPGA's speed",
        core_rate, benchmark.batch / timing.cores.high_s, benchmark.batch / timing.cores.low_s);
  }
  return {text, json};
}

}  // namespace dovetail::app
