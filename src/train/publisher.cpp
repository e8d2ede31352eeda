// Non-blocking broadcasts out, reports in.
#include "train/publisher.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "quant/assignment.hpp"

namespace dovetail {

using quant::Announcement;
using quant::Report;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr double quiet_look_s = 0.5;  // a rank may retire, or be asked to stop, at any time

std::shared_ptr<const Bytes> shared(Bytes bytes) {
  return std::make_shared<const Bytes>(std::move(bytes));
}

}  // namespace

Publisher::Publisher(Communicator& link, std::size_t formats)
    : link_(link),
      formats_(formats),
      inbox_(link),
      roster_(static_cast<std::size_t>(link.size() - 1), 1) {}

std::size_t Publisher::serving() const {
  return static_cast<std::size_t>(std::count(roster_.begin(), roster_.end(), 1));
}

void Publisher::announce(Announcement announcement, std::shared_ptr<const Bytes> bytes) {
  const auto payload = std::make_shared<Payload>();
  payload->announcement = announcement;
  payload->announcement.bytes = bytes ? bytes->size() : 0;
  payload->bytes = std::move(bytes);
  Outgoing& outgoing = outgoing_.emplace_back();
  outgoing.announced = link_.ibroadcast(std::span(&payload->announcement, 1), 0);
  outgoing.announced.keep(payload);
  if (payload->announcement.bytes == 0) return;
  // The root only reads what it broadcasts, but MPI's signature is the same for all ranks.
  outgoing.sent = link_.ibroadcast(
      std::span(const_cast<std::uint8_t*>(payload->bytes->data()), payload->bytes->size()), 0);
  outgoing.sent.keep(payload);
}

void Publisher::publish(std::vector<quant::WeightPack> packs) {
  if (serving() == 0) return;
  for (std::size_t format = 0; format < packs.size(); ++format) {
    Pending& pending = pending_.emplace_back();
    pending.announcement = {.kind = Announcement::Kind::evaluate,
                            .format = static_cast<std::uint32_t>(format),
                            .version = packs[format].version};
    pending.bytes = shared(std::move(packs[format].bytes));
    begin(pending);
  }
}

void Publisher::begin(Pending& pending) {
  pending.announcement.round = ++round_;
  pending.sum = {.version = pending.announcement.version, .format = pending.announcement.format};
  pending.shares = 0;
  pending.parts = quant::parts_of_format(pending.announcement.format, formats_, serving());
  announce(pending.announcement, pending.bytes);
}

void Publisher::publish_for_selection(quant::WeightPack pack) {
  boosting_ = true;
  if (serving() == 0) return;
  announce({.kind = Announcement::Kind::select, .version = pack.version},
           shared(std::move(pack.bytes)));
}

void Publisher::publish_for_gradients(quant::WeightPack pack) {
  boosting_ = true;
  if (serving() == 0) return;
  announce({.kind = Announcement::Kind::weights, .version = pack.version},
           shared(std::move(pack.bytes)));
}

void Publisher::tell_progress(std::uint64_t steps) {
  if (serving() > 0) announce({.kind = Announcement::Kind::progress, .version = steps});
}

void Publisher::receive() {
  while (!outgoing_.empty() && outgoing_.front().announced.test() &&
         outgoing_.front().sent.test()) {
    outgoing_.pop_front();
  }
  for (ReportInbox::Arrival& arrival : inbox_.poll()) {
    switch (arrival.report.kind) {
      case Report::Kind::evaluation:
        add(arrival.report);
        break;
      case Report::Kind::scores:
      case Report::Kind::gradients:
        boosts_.push_back(std::move(arrival));
        break;
      case Report::Kind::retired:
        retire(std::move(arrival));
        break;
      case Report::Kind::stop:
        stop_asked_ = true;
        break;
      case Report::Kind::done:
        break;
    }
  }
}

void Publisher::add(const Report& report) {
  const auto found = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& pending) {
    return pending.announcement.round == report.round;
  });
  if (found == pending_.end()) return;  // has begun anew since
  found->sum.merge(report.sums);
  ++found->shares;
}

void Publisher::retire(ReportInbox::Arrival arrival) {
  roster_[static_cast<std::size_t>(arrival.rank - 1)] = 0;
  ++rosters_;
  retired_.push_back(std::move(arrival));
  if (over_) return;  // the FPGA ranks listen no more
  announce({.kind = Announcement::Kind::roster}, shared(roster_));
  if (serving() == 0) pending_.clear();
  for (Pending& pending : pending_) {
    if (pending.shares < pending.parts) begin(pending);
  }
}

std::vector<quant::Evaluation> Publisher::take_complete() {
  std::vector<quant::Evaluation> complete;
  while (!pending_.empty() && pending_.front().shares == pending_.front().parts) {
    complete.push_back(pending_.front().sum);
    pending_.pop_front();
  }
  return complete;
}

std::vector<quant::Evaluation> Publisher::poll() {
  // Even a test that finds nothing may give the core away, on hosts with more ranks than cores.
  const bool quiet = outgoing_.empty() && pending_.empty() && !boosting_;
  if (quiet && since_look_.seconds() < quiet_look_s) return {};
  since_look_.restart();
  receive();
  return take_complete();
}

std::vector<ReportInbox::Arrival> Publisher::take_boosts() {
  return std::exchange(boosts_, {});
}

std::vector<ReportInbox::Arrival> Publisher::take_retired() {
  return std::exchange(retired_, {});
}

std::vector<quant::Evaluation> Publisher::finish(bool at_once) {
  std::vector<quant::Evaluation> complete;
  const auto wait_until = [&](const auto& finished) {
    while (true) {
      receive();
      for (const quant::Evaluation& evaluation : take_complete()) complete.push_back(evaluation);
      if (finished()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  if (at_once) pending_.clear();
  wait_until([this] { return pending_.empty(); });  // a rank that retires now still has successors
  announce({.kind = at_once ? Announcement::Kind::stop : Announcement::Kind::end});
  over_ = true;
  wait_until([this] { return outgoing_.empty() && inbox_.all_done(); });
  return complete;
}

}  // namespace dovetail
