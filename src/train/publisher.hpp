// The GPU root's side of the joint: weights go out, evaluations, scores and gradients come back,
// and nobody here waits.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "quant/announcement.hpp"
#include "quant/evaluation.hpp"
#include "quant/weight_pack.hpp"
#include "support/clock.hpp"
#include "train/report_inbox.hpp"

namespace dovetail {

/// Rank 0 of `link` is the GPU root; the others are the FPGA ranks. Between them they evaluate
/// every pack on the test set (quant/assignment.hpp says who which). An FPGA rank whose card fails
/// retires: its pending evaluations begin anew on those that are left. All calls but finish()
/// return at once.
class Publisher {
 public:
  /// @param formats how many formats each version is evaluated in.
  explicit Publisher(Communicator& link, std::size_t formats = 1);

  /// Starts the broadcast of a version to evaluate, one pack a format in the list's order; it goes
  /// on during later calls of poll().
  void publish(std::vector<quant::WeightPack> packs);
  /// Weights to score coming samples with, and weights to compute gradients with.
  void publish_for_selection(quant::WeightPack pack);
  void publish_for_gradients(quant::WeightPack pack);
  /// Says that `steps` are done.
  void tell_progress(std::uint64_t steps);

  /// Lets MPI progress, and returns the evaluations that have become complete (all shares) since
  /// the last call, oldest version first, by format within a version.
  std::vector<quant::Evaluation> poll();

  /// Scores and gradients that earlier calls of poll() have received; they are handed out once.
  std::vector<ReportInbox::Arrival> take_boosts();
  /// Ranks of link that have retired since the last call, with the reason as the payload.
  std::vector<ReportInbox::Arrival> take_retired();

  /// FPGA ranks that serve.
  std::size_t serving() const;
  /// How often a new roster has gone out.
  std::uint64_t rosters() const { return rosters_; }

  /// Whether a signal asks an FPGA rank's process to stop.
  bool stop_asked() const { return stop_asked_; }

  /// Tells the FPGA ranks that nothing more comes and waits for the evaluations still on their way;
  /// those are dropped where the job is to end `at_once`.
  std::vector<quant::Evaluation> finish(bool at_once = false);

 private:
  /// What MPI reads while a broadcast is under way: its requests hold it, too.
  struct Payload {
    quant::Announcement announcement;
    std::shared_ptr<const std::vector<std::uint8_t>> bytes;
  };
  struct Outgoing {
    Request announced, sent;
  };
  /// An evaluation that has begun: of one version in one format.
  struct Pending {
    quant::Announcement announcement;
    std::shared_ptr<const std::vector<std::uint8_t>> bytes;  // to begin anew
    quant::Evaluation sum{};
    std::size_t shares = 0;  // that have come in
    std::size_t parts = 0;   // that were dealt out
  };

  void announce(quant::Announcement announcement,
                std::shared_ptr<const std::vector<std::uint8_t>> bytes = nullptr);
  void begin(Pending& pending);
  void receive();
  void add(const quant::Report& report);
  void retire(ReportInbox::Arrival arrival);
  std::vector<quant::Evaluation> take_complete();

  Communicator& link_;
  std::size_t formats_;
  ReportInbox inbox_;
  std::vector<std::uint8_t> roster_;  // 1 for each FPGA rank that serves
  std::deque<Outgoing> outgoing_;
  std::deque<Pending> pending_;  // oldest version first, by format within a version
  std::uint64_t round_ = 0;
  std::uint64_t rosters_ = 0;
  bool stop_asked_ = false;
  bool over_ = false;      // the FPGA ranks know that nothing more comes
  Stopwatch since_look_;   // for reports, where none are due
  bool boosting_ = false;  // weights for a boost have gone out: reports may come at any time
  std::vector<ReportInbox::Arrival> boosts_, retired_;
};

}  // namespace dovetail
