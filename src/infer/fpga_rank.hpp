// The FPGA ranks' loop: takes weights as they are published; scores them on the test set, scores
// coming samples with them, and contributes gradients.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "infer/announcement_inbox.hpp"
#include "infer/evaluator.hpp"
#include "infer/gradient_source.hpp"
#include "infer/inference.hpp"
#include "infer/step_window.hpp"
#include "quant/report.hpp"
#include "shards/shard_reader.hpp"
#include "shards/step_schedule.hpp"
#include "support/json.hpp"

namespace dovetail {

/// What an FPGA rank is to do, and with what. Everything pointed to must outlive the FpgaRank.
struct FpgaDuties {
  std::string name;                          // of the rank, for the line that says it retires
  std::vector<std::string> formats{"int8"};  // every published version is evaluated in each
  infer::OpenInference open;
  ShardReader* test_set = nullptr;

  // ---- boosting; nothing of it where train_set is null
  ShardReader* train_set = nullptr;  // with the seed of the GPU ranks' reader
  StepSchedule schedule{};
  BoostTiming timing{};
  std::string select_format;                   // empty: no samples are scored
  infer::GradientSource* gradients = nullptr;  // null: none are contributed
  std::string gradient_format;                 // of those, for messages

  bool retire = true;  // when the card fails; else the failure ends the job
};

/// Seconds of an FPGA rank, by phase.
struct FpgaPhases {
  double idle_s = 0;        // waiting for weights
  double evaluate_s = 0;    // running the test set, transfers included
  double load_s = 0;        // checking packs and writing them to the card
  double select_s = 0;      // scoring coming samples
  double contribute_s = 0;  // computing gradients

  Json to_json() const {
    return {{"idle", idle_s},
            {"load", load_s},
            {"infer", evaluate_s},
            {"select", select_s},
            {"contribute", contribute_s}};
  }
};

class FpgaRank {
 public:
  /// Rank 0 of `link` is the GPU root.
  FpgaRank(Communicator& link, FpgaDuties duties);

  /// Serves until the root says that training is over. When the card fails it reports that, and
  /// from then on only keeps the communication going; without duties.retire it throws
  /// infer::CardFailure. Other failures (a damaged shard, MPI, a training that has diverged) are
  /// thrown as they are.
  void run();

  const FpgaPhases& phases() const { return phases_; }
  std::uint64_t samples() const { return samples_ + evaluator_.samples(); }  // by this rank
  bool retired() const { return retired_; }

 private:
  /// Reports that MPI has not yet taken over; each request holds its buffer.
  struct Sent {
    Request report, payload;
  };

  void serve();
  void take(AnnouncementInbox::Message message);
  void take_roster(const std::vector<std::uint8_t>& roster);
  /// Does the next piece of work; false when there is none.
  bool work();
  bool score_samples();
  bool contribute();
  /// Of the samples in batch_. Throws Error where they leave the format: the training has diverged.
  infer::GradientSums gradients_of(std::uint64_t step, std::uint64_t draw);
  bool evaluate();
  std::size_t images_between_news() const;
  void take_news();
  void send(quant::Report report, std::vector<std::uint8_t> payload = {});
  void retire(const std::string& reason);
  /// Tells the root, once, that a signal asks this process to stop: it decides for all.
  void pass_on_stop();
  bool must_pass_on_stop() const;

  Communicator& link_;
  FpgaDuties duties_;
  AnnouncementInbox inbox_;
  Evaluator evaluator_;
  std::size_t position_, serving_;  // among the FPGA ranks that serve
  std::uint64_t rosters_ = 0;       // heard of
  std::unique_ptr<infer::Inference> scorer_;
  StepWindow score_window_, gradient_window_;
  std::uint64_t score_version_ = 0, gradient_version_ = 0;
  Batch batch_;
  std::deque<Sent> sent_;
  FpgaPhases phases_;
  std::uint64_t samples_ = 0;
  bool over_ = false;
  bool retired_ = false;
  bool stop_passed_on_ = false;
};

}  // namespace dovetail
