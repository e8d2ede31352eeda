// Shares images out to passes.
#include "infer/forward_engine.hpp"

#include <algorithm>

#include "infer/gradient_step.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::infer {
namespace {

constexpr std::size_t compute_units = 2;  // of train_forward

}  // namespace

ForwardEngine::ForwardEngine(fpga::Card& card, std::string family, int max_batch)
    : family_(std::move(family)), max_batch_(max_batch), pass_(card, compute_units) {
  if (max_batch < 1 || max_batch > 4096) {
    throw Error(fmt::format("an FPGA batch of {} images is out of range", max_batch),
                "Choose 1 to 4096");
  }
}

void ForwardEngine::load(const quant::WeightPack& pack) {
  quant::TrainingNetwork network = quant::parse_training(pack);
  const std::string family = "training_" + network.format.family;
  if (family != family_) {
    throw Error(fmt::format("a weight pack in {} needs kernel family {}, but {} is loaded",
                            network.format.name, family, family_),
                "Open the card with that family's xclbin");
  }
  const std::size_t batch = pass_samples(network, max_batch_);
  pass_.load(std::move(network), batch);
}

std::vector<float> ForwardEngine::run(std::span<const std::uint8_t> images, std::size_t count) {
  const quant::TrainingNetwork& network = pass_.network();
  check_images(network, images, count);
  const std::size_t batch = pass_samples(network, max_batch_);
  std::vector<float> logits;
  for (std::size_t first = 0; first < count; first += batch) {
    const std::size_t now = std::min(batch, count - first);
    const std::size_t image = images.size() / count;
    pass_.run(images.subspan(first * image, now * image), now);
    const std::vector<float> part = pass_.logits(now);
    logits.insert(logits.end(), part.begin(), part.end());
  }
  return logits;
}

}  // namespace dovetail::infer
