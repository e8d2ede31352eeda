// The options, tables and JSON of `dovetail estimate`.
#include "app/estimate.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "cost/cycles.hpp"
#include "cost/limits.hpp"
#include "model/zoo.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/log.hpp"
#include "support/table.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

/// FINN on a ZC706 at 200 MHz (Umuroglu et al., FPGA 2017, table 4), binary weights and
/// activations.
struct Measured {
  const char* model;
  const char* format;
  double images_per_second;
};
constexpr Measured finn[] = {{"sfc", "w1a1", 12.3e6}, {"cnv", "w1a1", 21.906e3}};

FeatureShape usual_input(const std::string& model) {
  const bool cifar = model == "cnv" || model == "vgg-small";
  return cifar ? FeatureShape{3, 32, 32} : FeatureShape{1, 28, 28};
}

/// "32x16" as two numbers, "1x28x28" as three; nothing where it isn't that.
std::optional<std::vector<int>> parse_extents(const std::string& text, std::size_t count) {
  std::vector<int> values;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find('x', at), text.size());
    const std::string part = text.substr(at, end - at);
    if (part.empty() || part.size() > 6 ||
        part.find_first_not_of("0123456789") != std::string::npos)
      return {};
    values.push_back(std::stoi(part));
    at = end + 1;
  }
  if (values.size() != count || std::count(values.begin(), values.end(), 0) > 0) return {};
  return values;
}

FeatureShape input_of(const EstimateOptions& options) {
  if (options.input.empty()) return usual_input(options.model);
  const auto extents = parse_extents(options.input, 3);
  if (!extents) {
    throw UsageError(fmt::format("--input {} is no image size", options.input),
                     "Give channels, height and width, such as 3x32x32");
  }
  return {(*extents)[0], (*extents)[1], (*extents)[2]};
}

/// Nothing for other images or classes than FINN's: that would be another network.
const Measured* measured_by_finn(const EstimateOptions& options) {
  if (input_of(options) != usual_input(options.model) ||
      options.classes != EstimateOptions{}.classes)
    return nullptr;
  const auto* found = std::find_if(std::begin(finn), std::end(finn), [&](const Measured& row) {
    return options.model == row.model && options.format == row.format;
  });
  return found == std::end(finn) ? nullptr : found;
}

std::optional<cost::Folding> folding_of(const EstimateOptions& options) {
  if (options.fold == "auto") return std::nullopt;
  const auto extents = parse_extents(options.fold, 2);
  if (!extents) {
    throw UsageError(fmt::format("--fold {} is no folding", options.fold),
                     "Give auto, or PE and SIMD, such as 32x16");
  }
  return cost::Folding{(*extents)[0], (*extents)[1]};
}

std::string thousands(std::int64_t value) {
  std::string text = fmt::format("{}", value);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::vector<std::string> resource_cells(const cost::Resources& r) {
  return {thousands(r.lut), thousands(r.dsp), thousands(r.bram18), thousands(r.uram)};
}

std::string time_text(double seconds) {
  return seconds < 1e-3 ? fmt::format("{:.2f} us", seconds * 1e6)
                        : fmt::format("{:.2f} ms", seconds * 1e3);
}

/// Where the engine has another folding than its sources: a line, else nothing.
std::string other_folding_text(const cost::Estimate& estimate, const numeric::Format& format) {
  const cost::Folding built = cost::built_folding(format);
  const auto other = std::ranges::find_if(estimate.layers, [&](const cost::LayerCost& layer) {
    return (layer.kind == "conv2d" || layer.kind == "dense") && !(layer.folding == built);
  });
  if (other == estimate.layers.end()) return "";
  return fmt::format(
      "the sources are written for {0}x{1} (--fold {0}x{1}): {2}x{3} is what another engine would "
      "bring, which has to be written\n",
      built.pe, built.simd, other->folding.pe, other->folding.simd);
}

std::string layers_text(const cost::Estimate& estimate, const cost::Card& card) {
  const auto row = [](std::vector<std::string> cells, const cost::Resources& r) {
    for (std::string& cell : resource_cells(r)) cells.push_back(std::move(cell));
    return cells;
  };
  std::vector<std::vector<std::string>> rows;
  for (const cost::LayerCost& layer : estimate.layers) {
    const std::string name =
        layer.name == layer.kind ? layer.name : layer.name + " (" + layer.kind + ")";
    // The engine's kernels are listed at the first layer that runs on them.
    auto cells = row({name, fmt::format("{}x{}", layer.folding.pe, layer.folding.simd),
                      thousands(layer.cycles), fmt::format("{}", layer.units),
                      fmt::format("{}", layer.interval), thousands(layer.load_cycles)},
                     layer.used);
    if (layer.used == cost::Resources{}) std::fill(cells.end() - 4, cells.end(), "shared");
    cells.push_back(layer.bound);
    rows.push_back(std::move(cells));
  }
  auto sum = row({"together", "", "", "", "", ""}, estimate.used);
  sum.push_back(fmt::format("{:.0f} % of the budget", estimate.share * 100));
  rows.push_back(std::move(sum));
  auto budget = row({"budget of " + card.name, "", "", "", "", ""}, card.budget());
  budget.push_back("");
  rows.push_back(std::move(budget));
  return format_table({"layer", "PExSIMD", "cycles/image", "units", "II", "weight cycles/launch",
                       "LUT", "DSP", "BRAM18", "URAM", "bound"},
                      rows);
}

}  // namespace

EstimateReport make_estimates(const EstimateOptions& options) {
  if (options.batch < 1 || options.classes < 1) {
    throw UsageError("--batch and --classes must be at least 1", "See `dovetail estimate --help`");
  }
  cost::Question question;
  question.card = &cost::find_card(options.card);
  question.format = numeric::parse_format(options.format);
  question.work = cost::work_of(make_model(options.model, input_of(options), options.classes));
  question.folding = folding_of(options);
  question.batch = options.batch;
  question.units = options.units;
  EstimateReport report{options, {}, {}};
  const bool both = options.architecture == "both";
  // A pipeline can be made in any width; the engine is what is built.
  if (both && cost::has_units(question.format) && !cost::is_built(question.format)) {
    report.not_built = cost::why_not_built(question.format);
  } else if (both || options.architecture == "engine") {
    report.estimates.push_back(cost::estimate_engine(question));
  }
  if (both || options.architecture == "pipeline")
    report.estimates.push_back(cost::estimate_pipeline(question));
  if (report.estimates.empty()) {
    throw UsageError(fmt::format("unknown architecture '{}'", options.architecture),
                     "Known architectures: engine, pipeline, both");
  }
  return report;
}

std::string estimate_text(const EstimateReport& report) {
  const EstimateOptions& options = report.options;
  const cost::Card& card = cost::find_card(options.card);
  std::string text =
      fmt::format("{} in {} on {} ({}, {:.0f} GB/s): everything modelled, nothing measured\n",
                  options.model, options.format, card.name, card.memory, card.memory_rate / 1e9);
  if (!report.not_built.empty()) text += fmt::format("\nengine: {}\n", report.not_built);
  std::vector<std::vector<std::string>> speeds;
  const Measured* peer = measured_by_finn(options);
  for (const cost::Estimate& estimate : report.estimates) {
    const bool engine = estimate.architecture == cost::Architecture::engine;
    text += fmt::format(
        "\n{}: {}\n", to_string(estimate.architecture),
        engine
            ? fmt::format(
                  "layers one after another on shared kernels, {} images a launch\n"
                  "{} of the convolution and of the dense layer share the images; a kernel that {} "
                  "does not use is not counted",
                  estimate.batch,
                  counted(static_cast<std::uint64_t>(estimate.units), "compute unit"),
                  options.model)
            : "a unit for each layer, all at once; a bitstream for each model");
    if (engine) text += other_folding_text(estimate, numeric::parse_format(options.format));
    text += layers_text(estimate, card);
    for (const cost::Speed& speed : estimate.speeds) {
      speeds.push_back(
          {to_string(estimate.architecture), fmt::format("{:.0f}", speed.megahertz),
           thousands(static_cast<std::int64_t>(speed.images_per_second)),
           engine ? thousands(static_cast<std::int64_t>(speed.images_per_second_with_depth)) : "-",
           time_text(speed.latency_s), speed.bound});
      if (peer != nullptr)
        speeds.back().push_back(
            engine ? "-" : thousands(static_cast<std::int64_t>(peer->images_per_second)));
    }
  }
  std::vector<std::string> head{
      "architecture",
      "MHz",
      "modelled images/s",
      fmt::format("with {} cycles a loop entry, assumed", cost::assumed_loop_depth),
      "modelled latency",
      "bound"};
  if (peer != nullptr) head.push_back("measured by others, images/s (FINN, ZC706)");
  text += '\n' + format_table(head, speeds);
  text.pop_back();  // lines are ended by the log
  return text;
}

namespace {

Json resources_json(const cost::Resources& r) {
  return {{"lut", r.lut}, {"dsp", r.dsp}, {"bram18", r.bram18}, {"uram", r.uram}};
}

/// The pipeline's units have no loops that are entered.
template <typename T>
Json depth_json(T value) {
  return value > 0 ? Json(value) : Json(nullptr);
}

Json layer_json(const cost::LayerCost& layer) {
  return {{"name", layer.name},
          {"kind", layer.kind},
          {"compute_units", layer.units},
          {"pe", layer.folding.pe},
          {"simd", layer.folding.simd},
          {"cycles_per_image", layer.cycles},
          {"cycles_per_image_with_loop_depth", depth_json(layer.cycles_with_depth)},
          {"initiation_interval", layer.interval},
          {"weight_cycles_per_launch", layer.load_cycles},
          {"bytes_per_image", layer.bytes},
          {"weight_bytes_per_launch", layer.weight_bytes},
          {"shares_unit", layer.used == cost::Resources{}},
          {"resources", resources_json(layer.used)},
          {"bound", layer.bound}};
}

Json estimate_json(const cost::Estimate& estimate) {
  Json layers = Json::array(), speeds = Json::array();
  for (const cost::LayerCost& layer : estimate.layers) layers.push_back(layer_json(layer));
  for (const cost::Speed& speed : estimate.speeds) {
    speeds.push_back(
        {{"megahertz", speed.megahertz},
         {"images_per_second", speed.images_per_second},
         {"images_per_second_with_loop_depth", depth_json(speed.images_per_second_with_depth)},
         {"latency_s", speed.latency_s},
         {"bound", speed.bound}});
  }
  return {{"architecture", to_string(estimate.architecture)},
          {"batch", estimate.batch},
          {"compute_units", estimate.units},
          {"layers", layers},
          {"resources", resources_json(estimate.used)},
          {"share_of_budget", estimate.share},
          {"modelled", speeds}};
}

}  // namespace

Json estimate_json(const EstimateReport& report) {
  Json estimates = Json::array();
  for (const cost::Estimate& estimate : report.estimates)
    estimates.push_back(estimate_json(estimate));
  Json json{{"model", report.options.model},
            {"format", report.options.format},
            {"card", report.options.card},
            {"assumed_loop_depth", cost::assumed_loop_depth},
            {"budget", resources_json(cost::find_card(report.options.card).budget())},
            {"estimates", estimates}};
  if (!report.not_built.empty()) json["engine_not_built"] = report.not_built;
  if (const Measured* peer = measured_by_finn(report.options)) {
    json["measured_by_others"] = {
        {"system", "FINN"}, {"card", "ZC706"}, {"images_per_second", peer->images_per_second}};
  }
  return json;
}

int run_estimate(const Arguments& arguments) {
  EstimateOptions options;
  std::string json_file;
  CommandLine line(
      "usage: dovetail estimate --model M --format F --card CARD [--fold auto] [--json FILE]",
      "Models what a network would cost on an FPGA card; docs/cost-model.md says how.");
  line.add("model", options.model, fmt::format("{}", fmt::join(model_names(), ", ")));
  line.add("format", options.format,
           "wXaY, intK, fixedW or bfpK: w1a1, w2a4, int8, fixed16, bfp8 and the like");
  line.add("card", options.card, fmt::format("{}", fmt::join(cost::card_names(), ", ")));
  line.add("fold", options.fold,
           "auto: the fastest under the card's budget; or PE x SIMD, such as 32x16");
  line.add("architecture", options.architecture, "engine, pipeline or both");
  line.add("input", options.input,
           "images as CxHxW; by default 3x32x32 for cnv and vgg-small, else 1x28x28");
  line.add("classes", options.classes, "outputs of the last layer");
  line.add("batch", options.batch, "images that the engine takes a launch");
  line.add(
      "units", options.units,
      "compute units of the engine's convolution and dense kernels, each with all of a folding");
  line.add("json", json_file, "write the estimate as JSON; `-` is standard output");
  for (const char* name : {"model", "format", "card"}) line.require(name);
  if (!line.parse(arguments)) return 0;
  const EstimateReport report = make_estimates(options);
  if (json_file.empty()) {
    log::note(estimate_text(report));
    return 0;
  }
  const std::string text = dump(estimate_json(report), 2);
  if (json_file == "-") {
    log::note(text);
  } else {
    replace_file_text(json_file, text + '\n');
  }
  return 0;
}

}  // namespace dovetail::app
