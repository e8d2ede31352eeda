// The engine as built: launches of shared kernels, one layer after another.
#include <algorithm>
#include <map>

#include "cost/engine_launch.hpp"
#include "cost/limits.hpp"
#include "cost/training_launch.hpp"
#include "quant/weight_pack.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

constexpr int largest_folding = 512;
constexpr double bound_megahertz = 300;

/// Of what a unit moves through the ports of one range, while as many units as `sharing` do.
double seconds(const Card& card, const Traffic& traffic, double hertz, int sharing) {
  return std::max(
      static_cast<double>(traffic.port_bytes) / card.port_rate(hertz),
      static_cast<double>(traffic.bytes) * sharing / card.range_rate(traffic.pseudo_channels));
}

/// Of a launch of one unit while as many launches as `sharing` are under way, on the same ranges of
/// memory. `memory_bound`: most of it is the loading of weights, or maps that keep the units
/// waiting.
double seconds(const Question& question, const LayerCost& layer, double hertz, int batch,
               int sharing, bool& memory_bound) {
  const Card& card = *question.card;
  const int pseudo_channels = runs_on_engine(question.format) ? weight_channels : square_channels;
  const double images = batch;
  // Weights arrive before the products begin; maps come and go while they run.
  const double load = std::max(
      static_cast<double>(layer.load_cycles) / hertz,
      seconds(card, {pseudo_channels, layer.weight_bytes, layer.weight_bytes}, hertz, sharing));
  const double compute = images * static_cast<double>(layer.cycles) / hertz;
  double maps = 0;
  for (const Traffic& range : layer.maps)
    maps = std::max(maps, images * seconds(card, range, hertz, sharing));
  const double run = std::max(compute, maps);
  memory_bound = load + (maps > compute ? run : 0) > (load + run) / 2;
  return load + run;
}

/// Kernels of hls/engine: in a round each unit takes a batch through the network. Kernels that have
/// one unit (input, pools) serve all of them in turn.
double round_seconds(const Question& question, const Estimate& estimate, double hertz,
                     std::string& bound) {
  double round_s = 0, slowest_s = 0;
  std::map<std::string, double> alone_s;  // by kind
  for (const LayerCost& layer : estimate.layers) {
    bool memory_bound = false;
    const double layer_s =
        seconds(question, layer, hertz, estimate.batch, question.units, memory_bound);
    round_s += layer_s;
    if (layer.units == 1) alone_s[layer.kind] += question.units * layer_s;
    if (layer_s <= slowest_s) continue;
    slowest_s = layer_s;
    bound = fmt::format("{}: {}", memory_bound ? "memory" : layer.bound, layer.name);
  }
  for (const auto& [kind, kind_s] : alone_s) {
    if (kind_s <= round_s) continue;
    round_s = kind_s;
    bound = fmt::format("compute: {}, which has one unit", kind);
  }
  return round_s;
}

/// Of a launch of hls/training, whose images its units share.
double pass_seconds(const Question& question, const LayerCost& layer, double hertz,
                    bool& memory_bound) {
  const int images = (question.batch + layer.units - 1) / layer.units;
  return seconds(question, layer, hertz, images, layer.units, memory_bound);
}

/// A launch waits for the one before it (infer/forward_pass.hpp). A round is as many batches as
/// there are units, too.
double pass_seconds(const Question& question, const Estimate& estimate, double hertz,
                    std::string& bound) {
  double round_s = 0, slowest_s = 0;
  for (const LayerCost& layer : estimate.layers) {
    bool memory_bound = false;
    const double layer_s = question.units * pass_seconds(question, layer, hertz, memory_bound);
    round_s += layer_s;
    if (layer_s <= slowest_s) continue;
    slowest_s = layer_s;
    bound = fmt::format("{}: {}", memory_bound ? "memory" : layer.bound, layer.name);
  }
  return round_s;
}

double images_per_second(const Question& question, const Estimate& estimate, double hertz,
                         std::string& bound) {
  const double round_s = runs_on_engine(question.format)
                             ? round_seconds(question, estimate, hertz, bound)
                             : pass_seconds(question, estimate, hertz, bound);
  return question.units * estimate.batch / round_s;
}

Estimate with_loop_depth(Estimate estimate) {
  for (LayerCost& layer : estimate.layers) layer.cycles = layer.cycles_with_depth;
  return estimate;
}

Speed speed_at(const Question& question, const Estimate& estimate, double megahertz) {
  const double hertz = megahertz * 1e6;
  Speed speed;
  speed.megahertz = megahertz;
  for (const LayerCost& layer : estimate.layers) {
    bool memory_bound = false;
    speed.latency_s += seconds(question, layer, hertz, 1, 1, memory_bound);
  }
  speed.images_per_second = images_per_second(question, estimate, hertz, speed.bound);
  std::string bound_with_depth;
  speed.images_per_second_with_depth =
      images_per_second(question, with_loop_depth(estimate), hertz, bound_with_depth);
  return speed;
}

std::vector<LayerCost> engine_costs(const Question& question, Folding f) {
  std::vector<LayerCost> layers{input_cost(question, f)};
  for (const LayerWork& layer : question.work) {
    layers.push_back(layer.kind == WorkKind::max_pool ? pool_cost(question, layer, f)
                                                      : linear_cost(question, layer, f));
  }
  return layers;
}

Estimate with_folding(const Question& question, Folding f) {
  Estimate estimate;
  estimate.architecture = Architecture::engine;
  estimate.batch = question.batch;
  estimate.units = question.units;
  const bool on_engine = runs_on_engine(question.format);
  estimate.layers = on_engine ? engine_costs(question, f) : training_costs(question, f);
  (on_engine ? add_engine_units : add_training_units)(question, f, estimate.layers);
  for (LayerCost& layer : estimate.layers) {
    bool memory_bound = false;
    if (layer.kind == "dense" || layer.kind == "conv2d") layer.units = question.units;
    const double hertz = bound_megahertz * 1e6;
    if (on_engine) {
      seconds(question, layer, hertz, question.batch, question.units, memory_bound);
    } else {
      pass_seconds(question, layer, hertz, memory_bound);
    }
    if (memory_bound) layer.bound = "memory";
    if (layer.bound.empty()) layer.bound = "compute";
    estimate.used += layer.used;
  }
  estimate.share = question.card->share(estimate.used);
  for (const double megahertz : modelled_megahertz)
    estimate.speeds.push_back(speed_at(question, estimate, megahertz));
  return estimate;
}

}  // namespace

bool is_built(const numeric::Format& format) {
  return quant::is_inference_format(format.name);
}

std::string why_not_built(const numeric::Format& format) {
  return fmt::format("no kernel is built for {}; built are {}", format.name,
                     quant::inference_formats());
}

Estimate estimate_engine(const Question& question) {
  operands(question.format, question.work.front());  // refuses what no unit could be made for
  if (!is_built(question.format)) {
    throw UsageError(
        why_not_built(question.format),
        "Give one of those, or --architecture pipeline, which can be made in any width");
  }
  if (question.units < 1) {
    throw UsageError(fmt::format("an engine of {} compute units computes nothing", question.units),
                     fmt::format("Give 1 or more; hls/engine has {}", engine::layer_units));
  }
  check_sizes(question);
  if (question.folding) {
    const Folding f = *question.folding;
    if (!is_bit_serial(question.format) && f.pe % f.simd != 0) {
      throw UsageError(
          fmt::format("the engine cannot be folded {}x{}: PE is no multiple of SIMD", f.pe, f.simd),
          "Give powers of two with PE at least SIMD, such as 32x16");
    }
    Estimate estimate = with_folding(question, f);
    if (estimate.share <= 1 && keeps_weights(question, f)) return estimate;
    throw UsageError(fmt::format("an engine folded {}x{} in {} does not fit the {}", f.pe, f.simd,
                                 question.format.name, question.card->name),
                     "Give a smaller folding, or --fold auto");
  }
  std::optional<Estimate> best;
  for (int pe = 1; pe <= largest_folding; pe *= 2) {
    // A tile's outputs are whole words of inputs, but for bit planes, which are cut anew.
    const int widest = is_bit_serial(question.format) ? largest_folding : pe;
    for (int simd = 1; simd <= widest; simd *= 2) {
      if (!keeps_weights(question, {pe, simd})) continue;
      Estimate estimate = with_folding(question, {pe, simd});
      if (estimate.share > 1) continue;
      const double gain =
          best ? estimate.speeds.back().images_per_second / best->speeds.back().images_per_second
               : 2;
      if (gain > 1 || (gain == 1 && estimate.share < best->share)) best = std::move(estimate);
    }
  }
  if (best) return *best;
  throw UsageError(fmt::format("no engine for this model in {} fits the {}", question.format.name,
                               question.card->name),
                   "Estimate fewer bits or a larger card");
}

}  // namespace dovetail::cost
