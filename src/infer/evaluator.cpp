// Waits for packs without burning a core, evaluates, reports.
#include "infer/evaluator.hpp"

#include <algorithm>
#include <chrono>

#include "model/score.hpp"
#include "quant/announcement.hpp"
#include "quant/evaluation.hpp"
#include "quant/weight_pack.hpp"
#include "shards/share.hpp"
#include "support/clock.hpp"

namespace dovetail {
namespace {

constexpr std::size_t images_at_once = 512;
constexpr std::chrono::milliseconds poll_interval{2};

}  // namespace

Evaluator::Evaluator(Communicator& link, infer::Engine& engine, ShardReader& test_set)
    : link_(link), engine_(engine), test_set_(test_set) {}

std::optional<quant::WeightPack> Evaluator::next_pack() {
  const PhaseTimer timer(phases_.idle_s);
  quant::Announcement announcement;
  link_.ibroadcast(std::span(&announcement, 1), 0).wait_idle(poll_interval);
  if (announcement.bytes == 0) return std::nullopt;
  quant::WeightPack pack{announcement.version, std::vector<std::uint8_t>(announcement.bytes)};
  link_.ibroadcast(std::span(pack.bytes), 0).wait_idle(poll_interval);
  return pack;
}

quant::Evaluation Evaluator::evaluate(const quant::WeightPack& pack) {
  Stopwatch whole;
  {
    const PhaseTimer timer(phases_.load_s);
    engine_.load(pack);
  }
  const PhaseTimer timer(phases_.infer_s);
  quant::Evaluation evaluation{.version = pack.version};
  const Share mine = share(test_set_.samples(), static_cast<std::size_t>(link_.rank() - 1),
                           static_cast<std::size_t>(link_.size() - 1));
  Batch batch;
  for (std::size_t done = 0; done < mine.count; done += images_at_once) {
    test_set_.read(
        {.begin = mine.begin + done, .count = std::min(images_at_once, mine.count - done)}, batch);
    const Score score = score_logits(engine_.run(batch.images, batch.size()), batch.labels);
    evaluation.loss_sum += score.loss_sum;
    evaluation.correct += score.correct;
    evaluation.samples += batch.size();
  }
  samples_ += evaluation.samples;
  evaluation.seconds = whole.seconds();
  return evaluation;
}

void Evaluator::run() {
  while (const std::optional<quant::WeightPack> pack = next_pack()) {
    const quant::Evaluation evaluation = evaluate(*pack);
    link_.send(std::span(&evaluation, 1), 0, quant::evaluation_tag);
  }
}

}  // namespace dovetail
