// The kernels of hls/engine as circuits.
#include <algorithm>
#include <map>

#include "cost/engine_launch.hpp"
#include "cost/memories.hpp"

namespace dovetail::cost {
namespace {

constexpr int sum_bits = 32;  // of an accumulator, as the sources declare it

/// One kernel: convolution, dense layer or max-pool.
struct Kernel {
  Operands operands;      // the widest outputs among its layers
  bool marked = false;    // takes 1-bit codes, whose marks go beside them
  std::size_t first = 0;  // layer
};

Operands of_unit(const numeric::Format& format, Operands operands) {
  operands.weight_bits = stored_weight_bits(format);
  operands.input_bits = engine::max_activation_bits;
  operands.multiplier = is_bit_serial(format) ? Multiplier::bit_serial : Multiplier::dsp_pair;
  return operands;
}

Resources kernel_of(const Question& question, WorkKind kind, const Kernel& kernel, Folding f) {
  const numeric::Format& format = question.format;
  const std::int64_t chunk = chunk_bits(format, f);
  Resources used = resources_of(*question.card, engine_memories(kind, format, f));
  if (kind == WorkKind::max_pool) {
    used.lut += engine_pool_luts(chunk) + shifter_luts(chunk, 1);
    return used;
  }
  used +=
      {.lut = product_luts(kernel.operands, f, sum_bits), .dsp = product_dsps(kernel.operands, f)};
  used += activation_logic(kernel.operands, f.pe, sum_bits, activation_interval(format, f));
  if (kernel.operands.thresholds) used.lut += realigner_luts(chunk);
  if (kind == WorkKind::conv2d)
    used.lut += window_control_luts + shifter_luts(chunk, kernel.marked ? 2 : 1);
  return used;
}

}  // namespace

void add_engine_units(const Question& question, Folding f, std::vector<LayerCost>& layers) {
  std::map<WorkKind, Kernel> kernels;
  for (std::size_t i = 0; i < question.work.size(); ++i) {
    const Operands o = of_unit(question.format, operands(question.format, question.work[i]));
    const auto [found, is_new] = kernels.try_emplace(question.work[i].kind, Kernel{o, false, i});
    Kernel& kernel = found->second;
    if (o.output_bits > kernel.operands.output_bits) kernel.operands = o;
    kernel.marked |= operands(question.format, question.work[i]).input_bits == 1;
  }
  for (const auto& [kind, kernel] : kernels) {
    const Resources one = kernel_of(question, kind, kernel, f);
    const int units = kind == WorkKind::max_pool ? 1 : question.units;
    for (int unit = 0; unit < units; ++unit)
      layers[kernel.first + 1].used += one;  // the input stands before the layers
  }
  // Tables are memories; besides them there are counters of channel and pixel.
  layers.front().used = resources_of(*question.card, engine_input_memories(question.format, f));
  layers.front().used.lut += window_control_luts;
}

}  // namespace dovetail::cost
