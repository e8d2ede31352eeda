// The FPGA ranks' loop: takes weight packs as they are published and scores them on the test set.
#pragma once

#include <cstdint>
#include <optional>

#include "comm/communicator.hpp"
#include "infer/engine.hpp"
#include "quant/evaluation.hpp"
#include "quant/weight_pack.hpp"
#include "shards/shard_reader.hpp"
#include "support/json.hpp"

namespace dovetail {

/// Seconds of an FPGA rank, by phase.
struct EvaluatePhases {
  double idle_s = 0;   // waiting for weights
  double load_s = 0;   // checking packs and writing them to the card
  double infer_s = 0;  // running the kernels, transfers included

  Json to_json() const { return {{"idle", idle_s}, {"load", load_s}, {"infer", infer_s}}; }
};

class Evaluator {
 public:
  /// Rank 0 of `link` publishes; the other ranks share the test set.
  Evaluator(Communicator& link, infer::Engine& engine, ShardReader& test_set);

  /// Evaluates every published pack until the publisher says that training is over.
  void run();

  const EvaluatePhases& phases() const { return phases_; }
  std::uint64_t samples() const { return samples_; }  // inferred by this rank

 private:
  /// nullopt when training is over.
  std::optional<quant::WeightPack> next_pack();
  quant::Evaluation evaluate(const quant::WeightPack& pack);

  Communicator& link_;
  infer::Engine& engine_;
  ShardReader& test_set_;
  EvaluatePhases phases_;
  std::uint64_t samples_ = 0;
};

}  // namespace dovetail
