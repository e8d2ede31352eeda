// Works through the queued evaluations, oldest first.
#include "infer/evaluator.hpp"

#include <algorithm>

#include "infer/card_failure.hpp"
#include "model/score.hpp"

namespace dovetail {

Evaluator::Evaluator(infer::OpenInference open, ShardReader& test_set)
    : open_(std::move(open)), test_set_(test_set) {}

void Evaluator::add(const quant::Announcement& announcement, std::vector<std::uint8_t> pack,
                    const std::string& format, const Share& mine) {
  jobs_.push_back({.announcement = announcement,
                   .format = format,
                   .pack = {announcement.version, std::move(pack)},
                   .mine = mine,
                   .sum = {.version = announcement.version, .format = announcement.format}});
}

infer::Inference& Evaluator::engine_for(const std::string& format) {
  std::unique_ptr<infer::Inference>& engine = engines_[format];
  if (!engine) engine = open_(format);
  return *engine;
}

void Evaluator::load(Job& job) {
  const PhaseTimer timer(load_s_);
  infer::on_card([&] { engine_for(job.format).load(job.pack); });
  job.loaded = true;
}

std::optional<quant::Report> Evaluator::advance(std::size_t images) {
  if (jobs_.empty()) return std::nullopt;
  Job& job = jobs_.front();
  const Stopwatch watch;
  if (!job.loaded) load(job);
  const std::size_t count = std::min(images, job.mine.count - job.sum.samples);
  test_set_.read({.begin = job.mine.begin + job.sum.samples, .count = count}, batch_);
  const Score score = score_logits(
      infer::on_card([&] { return engines_.at(job.format)->run(batch_.images, count); }),
      batch_.labels);
  job.sum.loss_sum += score.loss_sum;
  job.sum.correct += score.correct;
  job.sum.samples += count;
  job.sum.seconds += watch.seconds();
  samples_ += count;
  if (job.sum.samples < job.mine.count) return std::nullopt;
  const quant::Report report{
      .kind = quant::Report::Kind::evaluation, .round = job.announcement.round, .sums = job.sum};
  jobs_.pop_front();
  return report;
}

}  // namespace dovetail
