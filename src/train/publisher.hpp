// The GPU root's side of the joint: weight packs go out, evaluations come back, and nobody here
// waits.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "comm/communicator.hpp"
#include "quant/announcement.hpp"
#include "quant/evaluation.hpp"
#include "quant/weight_pack.hpp"

namespace dovetail {

/// Rank 0 of `link` is the GPU root; the others are the FPGA ranks, each of which evaluates a share
/// of the test set for every pack, in order. All calls but finish() return at once.
class Publisher {
 public:
  explicit Publisher(Communicator& link);

  /// Starts the broadcast of a pack; it goes on during later calls of poll().
  void publish(quant::WeightPack pack);

  /// Lets MPI progress, and returns the evaluations that have become complete (all FPGA ranks'
  /// shares) since the last call, oldest version first.
  std::vector<quant::Evaluation> poll();

  /// Tells the FPGA ranks that nothing more comes and waits for the evaluations still on their way.
  std::vector<quant::Evaluation> finish();

 private:
  /// What MPI reads while a broadcast is under way: its requests hold it, too.
  struct Payload {
    quant::Announcement announcement;
    quant::WeightPack pack;
  };
  struct Outgoing {
    Request announced, sent;
  };
  struct Incoming {
    std::shared_ptr<quant::Evaluation> share = std::make_shared<quant::Evaluation>();
    Request request;
    bool posted = false;
    std::size_t due = 0;  // shares that this rank still owes, beyond the posted one
  };
  struct Collected {
    quant::Evaluation sum;
    int shares = 0;
  };

  void announce(quant::WeightPack pack);
  void post_receive(int fpga_rank);

  Communicator& link_;
  std::deque<Outgoing> outgoing_;
  std::vector<Incoming> incoming_;  // one for each FPGA rank
  std::map<std::uint64_t, Collected> collected_;
  std::size_t awaited_ = 0;  // packs published and not yet evaluated
};

}  // namespace dovetail
