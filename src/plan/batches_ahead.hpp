// The batches of steps that are under way.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <vector>

#include "plan/plan.hpp"
#include "shards/shard_reader.hpp"

namespace dovetail {

/// A batch has the samples of one step, or of several (Range::step): such a batch goes to the
/// device in one go, while half of the one before it is still to be taken. It stays where it is
/// until all of its steps are done; its memory is used again then.
class BatchesAhead {
 public:
  /// Fills the next batch, which is empty or as it was filled before; false: there is none.
  using Read = std::function<bool(Batch&)>;
  /// Says where the images of a batch lie that was read without them.
  using Find = std::function<void(const Batch&, StepSamples&)>;

  /// `plan` has room for batches of several steps (Plan::make_room_to_send), where there are any.
  BatchesAhead(Plan& plan, Read read, Find find);
  /// Waits for the copies of batches, whose memory goes with it.
  ~BatchesAhead();
  BatchesAhead(const BatchesAhead&) = delete;
  BatchesAhead& operator=(const BatchesAhead&) = delete;

  struct Step {
    Range range;          // its own, without picks
    StepSamples samples;  // there until the step is dropped
  };
  /// The next step's. Throws Error where there is none, and what reading or sending its samples
  /// threw, if they had to be read for this step or before.
  Step next();
  /// The oldest step that was taken is done.
  void drop_oldest();

 private:
  struct UnderWay {
    Batch batch;
    std::optional<Plan::Sending> sent;
    std::size_t taken = 0;                   // samples
    std::size_t to_take = 0, under_way = 0;  // steps
  };
  bool read();
  /// Reads before it is needed: what goes wrong is kept until then.
  void read_ahead();
  UnderWay& with_next();

  Plan& plan_;
  Read read_;
  Find find_;
  std::deque<UnderWay> batches_;  // oldest first
  std::vector<Batch> spare_;
  bool ended_ = false;
  std::exception_ptr failure_;  // of the batch behind those
};

}  // namespace dovetail
