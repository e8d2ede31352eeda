// Rounds of fresh weights and images until every kernel has given enough outputs.
#include "verify/proof.hpp"

#include <algorithm>
#include <future>

#include "infer/engine.hpp"
#include "infer/gradient_engine.hpp"
#include "infer/opencl_engine.hpp"
#include "infer/reference_engine.hpp"
#include "infer/reference_gradients.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "verify/networks.hpp"
#include "verify/source.hpp"

namespace dovetail::verify {
namespace {

constexpr std::uint64_t full_outputs = 1'000'000;
constexpr const char* inference = "inference";
constexpr const char* training = "training";

/// A network whose rounds go on until these kernels have given enough.
struct Case {
  quant::Network (*build)(const InputShape&, Purpose, std::uint64_t);
  std::vector<std::string> kernels;
  int channels, height, width;  // of random images
  std::uint64_t round;          // images in a round of a full proof
};

const std::vector<Case>& inference_cases() {
  static const std::vector<Case> cases{
      {maps_network, {"conv2d", "max_pool"}, 3, 48, 40, 13},
      {vectors_network, {"dense"}, 3, 24, 24, 128},
      {linear_network, {"quantise_input"}, 4, 64, 64, 64},
  };
  return cases;
}

const std::vector<Case>& training_cases() {
  static const std::vector<Case> cases{
      {maps_network, {"train_forward", "train_quantise", "train_input_gradient"}, 3, 24, 20, 40},
      {vectors_network, {"train_weight_gradient"}, 1, 20, 20, 24},
      {linear_network, {"train_quantise_images"}, 4, 64, 64, 64},
  };
  return cases;
}

class Prover {
 public:
  Prover(const ProofOptions& options, const Sides& sides)
      : options_(options), sides_(sides), random_(options.seed) {}

  /// Both return false at the first difference.
  bool prove_inference(const std::string& format, Source& source);
  bool prove_training(const std::string& format, Source& source);

  std::vector<Row> finish() { return ledger_.finish(); }

 private:
  /// Calls round(network, samples, number) until every kernel of the case has given enough.
  template <typename Round>
  bool rounds(const Case& subject, Purpose purpose, const std::string& format, Source& source,
              const Round& round);
  Subject subject(const char* purpose, const std::string& format, const Source& source,
                  const quant::Network& network) const {
    return {purpose, format, source.name(), network.model};
  }

  const ProofOptions& options_;
  const Sides& sides_;
  SplitMix64 random_;
  Ledger ledger_;
};

template <typename Round>
bool Prover::rounds(const Case& subject, Purpose purpose, const std::string& format, Source& source,
                    const Round& round) {
  const char* name = purpose == Purpose::inference ? inference : training;
  const InputShape shape = source.shape(subject.channels, subject.height, subject.width);
  const std::uint64_t scaled = (subject.round * options_.outputs + full_outputs - 1) / full_outputs;
  const std::uint64_t images = std::clamp<std::uint64_t>(scaled, 1, subject.round);
  const auto enough = [&](const std::string& kernel) {
    return ledger_.outputs(name, format, source.name(), kernel) >= options_.outputs;
  };
  for (std::uint64_t number = 0;
       !std::all_of(subject.kernels.begin(), subject.kernels.end(), enough); ++number) {
    round(subject.build(shape, purpose, random_.next()), source.next(shape, images, random_),
          number);
    if (ledger_.differs()) return false;
  }
  return true;
}

bool Prover::prove_inference(const std::string& format, Source& source) {
  std::optional<infer::OpenclEngine> device;
  std::optional<infer::Engine> card;
  if (sides_.device != nullptr) device.emplace(*sides_.device);
  if (sides_.card != nullptr) {
    const std::string family = quant::kernel_family(format);
    card.emplace(sides_.card->with(family), family);
  }
  const auto round = [&](const quant::Network& network, const Samples& samples, std::uint64_t) {
    const std::size_t count = samples.labels.size();
    const quant::WeightPack pack = quant::pack(network, format, 1);
    const quant::PackedNetwork packed = quant::parse(pack);
    auto twin = std::async(std::launch::async,
                           [&] { return infer::reference_outputs(packed, samples.images, count); });
    std::optional<Ledger::Outputs> on_device, on_card;
    if (device) {
      device->load(pack);
      on_device = device->layer_outputs(samples.images, count);
    }
    if (card) {
      card->load(pack);
      on_card = card->layer_outputs(samples.images, count);
    }
    ledger_.add(subject(inference, format, source, network), twin.get(),
                on_device ? &*on_device : nullptr, on_card ? &*on_card : nullptr);
  };
  return std::all_of(inference_cases().begin(), inference_cases().end(), [&](const Case& c) {
    return rounds(c, Purpose::inference, format, source, round);
  });
}

/// Everything that the kernels gave in one step.
template <typename Gradients>
Ledger::Outputs step_outputs(Gradients& gradients, const quant::WeightPack& pack,
                             const Samples& samples, std::uint64_t draw) {
  Ledger::Outputs outputs;
  gradients.observe([&](infer::LayerOutput output) { outputs.push_back(std::move(output)); });
  gradients.load(pack);
  gradients.gradients(samples.images, samples.labels, draw);
  return outputs;
}

bool Prover::prove_training(const std::string& format, Source& source) {
  fpga::Card& card = sides_.card->with(infer::gradient_kernels(format));
  const auto round = [&](const quant::Network& network, const Samples& samples,
                         std::uint64_t number) {
    // Rounds take turns with both roundings of back-propagated gradients.
    const infer::GradientOptions options{
        .format = format, .stochastic = number % 2 == 0, .seed = options_.seed};
    const quant::WeightPack pack = quant::pack_training(network, format, 1);
    auto twin = std::async(std::launch::async, [&] {
      infer::ReferenceGradients gradients(options);
      return step_outputs(gradients, pack, samples, number);
    });
    infer::GradientEngine engine(card, options);
    const Ledger::Outputs on_card = step_outputs(engine, pack, samples, number);
    ledger_.add(subject(training, format, source, network), twin.get(), nullptr, &on_card);
  };
  return std::all_of(training_cases().begin(), training_cases().end(), [&](const Case& c) {
    return rounds(c, Purpose::training, format, source, round);
  });
}

}  // namespace

std::vector<std::string> inference_formats() {
  std::vector<std::string> formats;
  for (const std::string& name : quant::pack_formats())
    if (name.starts_with('w')) formats.push_back(name);  // int8, int4 and int2 are among them
  return formats;
}

std::vector<std::string> training_formats() {
  std::vector<std::string> formats;
  for (int bits = 2; bits <= 8; ++bits) formats.push_back(fmt::format("int{}", bits));
  for (int bits = 2; bits <= 8; ++bits) formats.push_back(fmt::format("fixed{}", bits));
  for (int bits = 9; bits <= 16; ++bits) formats.push_back(fmt::format("int{}", bits));
  for (int bits = 9; bits <= 16; ++bits) formats.push_back(fmt::format("fixed{}", bits));
  for (int bits = 2; bits <= 8; ++bits) formats.push_back(fmt::format("bfp{}", bits));
  return formats;
}

std::vector<Row> prove(const ProofOptions& options, const Sides& sides) {
  if (sides.device == nullptr && sides.card == nullptr) {
    throw Error("there is nothing to compare the twin with: no OpenCL device and no FPGA card",
                "`dovetail devices` says what is missing");
  }
  std::vector<Source> sources(1);
  if (options.data) sources.emplace_back(*options.data);
  Prover prover(options, sides);
  for (const std::string& format : options.inference_formats) {
    for (Source& source : sources)
      if (!prover.prove_inference(format, source)) return prover.finish();
  }
  if (sides.card == nullptr) return prover.finish();
  for (const std::string& format : options.training_formats) {
    for (Source& source : sources)
      if (!prover.prove_training(format, source)) return prover.finish();
  }
  return prover.finish();
}

}  // namespace dovetail::verify
