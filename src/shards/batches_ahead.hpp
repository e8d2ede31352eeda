// The batches of steps that are under way.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "shards/shard_reader.hpp"

namespace dovetail {

/// Oldest first. A batch stays where it is until it is dropped; its memory is used again then.
class BatchesAhead {
 public:
  /// The newest, to be filled: empty, or as it was filled for an earlier step.
  Batch& add() {
    if (spare_.empty()) return under_way_.emplace_back();
    under_way_.push_back(std::move(spare_.back()));
    spare_.pop_back();
    return under_way_.back();
  }
  void drop_oldest() {
    spare_.push_back(std::move(under_way_.front()));
    under_way_.pop_front();
  }

 private:
  std::deque<Batch> under_way_;
  std::vector<Batch> spare_;
};

}  // namespace dovetail
