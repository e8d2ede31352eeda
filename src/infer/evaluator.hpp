// Scores published weights on the test set, a slice at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "infer/inference.hpp"
#include "quant/announcement.hpp"
#include "quant/report.hpp"
#include "quant/weight_pack.hpp"
#include "shards/shard_reader.hpp"
#include "shards/share.hpp"
#include "support/clock.hpp"

namespace dovetail {

/// One engine a format, opened when the first pack of that format comes. What the card does wrong
/// throws infer::CardFailure.
class Evaluator {
 public:
  Evaluator(infer::OpenInference open, ShardReader& test_set);

  /// Queues an announced evaluation of `format` over this rank's share of the test set.
  void add(const quant::Announcement& announcement, std::vector<std::uint8_t> pack,
           const std::string& format, const Share& mine);
  /// Forgets what is queued: all of it is announced anew when the roster changes.
  void clear() { jobs_.clear(); }
  bool has_work() const { return !jobs_.empty(); }
  /// Of the weights that the next call of advance() evaluates; needs work.
  std::uint64_t version() const { return jobs_.front().announcement.version; }

  /// Infers up to `images` more; the report of an evaluation that this completes.
  std::optional<quant::Report> advance(std::size_t images);

  std::uint64_t samples() const { return samples_; }  // inferred so far
  double load_seconds() const { return load_s_; }     // checking packs and writing them to the card

 private:
  struct Job {
    quant::Announcement announcement;
    std::string format;
    quant::WeightPack pack;
    Share mine;
    quant::Evaluation sum{};
    bool loaded = false;
  };
  void load(Job& job);
  infer::Inference& engine_for(const std::string& format);

  infer::OpenInference open_;
  ShardReader& test_set_;
  std::map<std::string, std::unique_ptr<infer::Inference>> engines_;
  std::deque<Job> jobs_;
  Batch batch_;
  std::uint64_t samples_ = 0;
  double load_s_ = 0;
};

}  // namespace dovetail
