// What a model would cost on an FPGA card, modelled: cycles, resources and speed of two
// architectures.
//
// engine: the kernels of hls/; layers run one after another on shared kernels, so images a second =
// f / Σ cycles for each compute unit. A new model needs no new bitstream. wXaY run on hls/engine,
// fixed point, block floating point and other integers on the forward pass of hls/training.
// pipeline: a unit for each layer with its weights on chip, as FINN builds it; images a second = f
// / max cycles. A new model is a new bitstream. Nothing here was measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cost/resources.hpp"
#include "numeric/engine_layout.hpp"

namespace dovetail::cost {

enum class Architecture { engine, pipeline };

const char* to_string(Architecture architecture);

/// Maps of one image, or weights of a launch, on their way between a kernel's ports and the pseudo
/// channels that its link configuration gives them (hls/*/link.cfg.in).
struct Traffic {
  int pseudo_channels = 1;      // of the range that the ports share
  std::int64_t port_bytes = 0;  // through the busiest port
  std::int64_t bytes = 0;       // through all of them
};

struct LayerCost {
  std::string name;
  std::string kind;  // of WorkKind, or the engine's: "input", the table look-up of the images, and
                     // "quantise", what makes codes of a float32 map (hls/training)
  Folding folding;
  std::int64_t cycles = 0;  // one image, weights on chip
  std::int64_t cycles_with_depth =
      0;                          // engine: with assumed_loop_depth each time a loop is entered
  int interval = 1;               // II of the loop that bounds it
  std::int64_t load_cycles = 0;   // engine: the weights of a launch, from the card's memory
  std::int64_t bytes = 0;         // one image, to and from the card's memory, without the weights
  std::vector<Traffic> maps;      // engine: the same by range of the card's memory
  std::int64_t weight_bytes = 0;  // one launch
  int units = 1;      // engine: compute units of its kernel, each with images of its own
  Resources used;     // engine: of all units of the kernel, in the first layer that uses it
  std::string bound;  // "compute", "reading", "window", "activation" or "memory": the slowest part,
                      // at 300 MHz
};

struct Speed {
  double megahertz = 0;
  double images_per_second = 0;
  double images_per_second_with_depth = 0;  // engine: by LayerCost::cycles_with_depth
  double latency_s = 0;  // one image alone; pipeline: an upper bound, no two layers overlap
  std::string bound;     // "compute" or "memory", with the layer that decides
};

struct Estimate {
  Architecture architecture = Architecture::engine;
  int batch = 1;  // images a launch; the pipeline streams
  int units = 1;  // engine: compute units of the convolution and of the dense layer each
  std::vector<LayerCost> layers;
  Resources used;
  double share = 0;           // of the card's budget, the scarcest resource
  std::vector<Speed> speeds;  // at 200 and 300 MHz
};

struct Question {
  const Card* card = nullptr;
  numeric::Format format;
  std::vector<LayerWork> work;
  std::optional<Folding> folding;  // absent: the fastest under the card's budget
  int batch = 64;
  int units = engine::layer_units;  // engine: as Estimate::units; one of each other kernel
};

/// Whether a kernel of hls/ runs the format; if not, one line that names those that are built.
bool is_built(const numeric::Format& format);
std::string why_not_built(const numeric::Format& format);

/// What the kernels that the model uses cost, with memories as built. The units share the batch and
/// the card's memory; images a second leave out what they wait for each other's turn on the kernels
/// of one unit. Throws UsageError where no kernel is built for the format, where a layer is larger
/// than the kernels' memories, or where no folding fits the card.
Estimate estimate_engine(const Question& question);
/// The fastest folding under the budget: each layer as small as the slowest one allows. PE divides
/// a layer's rows, SIMD its columns (of a convolution: its input channels, as in FINN). A given
/// folding is an upper bound: each layer takes the largest divisors that do not exceed it.
Estimate estimate_pipeline(const Question& question);

inline constexpr double modelled_megahertz[] = {200, 300};

}  // namespace dovetail::cost
