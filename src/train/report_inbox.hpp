// Receives what the FPGA ranks report, whenever it comes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/communicator.hpp"
#include "quant/report.hpp"

namespace dovetail {

/// Lives on rank 0 of `link`; every other rank sends Reports and ends with one of kind `done`.
class ReportInbox {
 public:
  struct Arrival {
    int rank = 0;  // of link
    quant::Report report;
    std::vector<std::uint8_t> payload;
  };

  explicit ReportInbox(Communicator& link);

  /// What has come in since the last call; never waits. Lets MPI progress.
  std::vector<Arrival> poll();
  /// True when every rank has said that it is done.
  bool all_done() const;

 private:
  struct Source {
    std::shared_ptr<quant::Report> report = std::make_shared<quant::Report>();
    std::shared_ptr<std::vector<std::uint8_t>> payload;  // being received
    Request request;
    bool done = false;
  };

  void expect_report(int rank);
  /// True when a report, with its payload, is complete.
  bool advance(int rank, Arrival& arrival);

  Communicator& link_;
  std::vector<Source> sources_;  // by rank of link, from 1
};

}  // namespace dovetail
