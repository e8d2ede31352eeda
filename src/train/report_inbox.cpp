// One receive is always posted for every FPGA rank: for a report, or for its payload.
#include "train/report_inbox.hpp"

#include <algorithm>

namespace dovetail {

ReportInbox::ReportInbox(Communicator& link)
    : link_(link), sources_(static_cast<std::size_t>(link.size() - 1)) {
  for (int rank = 1; rank < link.size(); ++rank) expect_report(rank);
}

void ReportInbox::expect_report(int rank) {
  Source& source = sources_[static_cast<std::size_t>(rank - 1)];
  source.payload.reset();
  source.request = link_.ireceive(std::span(source.report.get(), 1), rank, quant::report_tag);
  source.request.keep(source.report);
}

bool ReportInbox::advance(int rank, Arrival& arrival) {
  Source& source = sources_[static_cast<std::size_t>(rank - 1)];
  if (source.done || !source.request.test()) return false;
  const quant::Report& report = *source.report;
  if (report.bytes > 0 && !source.payload) {
    source.payload = std::make_shared<std::vector<std::uint8_t>>(report.bytes);
    source.request = link_.ireceive(std::span(*source.payload), rank, quant::payload_tag);
    source.request.keep(source.payload);
    if (!source.request.test()) return false;
  }
  arrival = {.rank = rank, .report = report, .payload = {}};
  if (source.payload) arrival.payload = std::move(*source.payload);
  source.done = report.kind == quant::Report::Kind::done;
  if (!source.done) expect_report(rank);
  return true;
}

std::vector<ReportInbox::Arrival> ReportInbox::poll() {
  std::vector<Arrival> arrivals;
  for (int rank = 1; rank < link_.size(); ++rank) {
    for (Arrival arrival; advance(rank, arrival);) arrivals.push_back(std::move(arrival));
  }
  return arrivals;
}

bool ReportInbox::all_done() const {
  return std::all_of(sources_.begin(), sources_.end(), [](const Source& s) { return s.done; });
}

}  // namespace dovetail
