// Non-blocking broadcasts out, non-blocking receives in.
#include "train/publisher.hpp"

#include <chrono>
#include <thread>

namespace dovetail {

Publisher::Publisher(Communicator& link)
    : link_(link), incoming_(static_cast<std::size_t>(link.size() - 1)) {}

void Publisher::post_receive(int fpga_rank) {
  Incoming& incoming = incoming_[static_cast<std::size_t>(fpga_rank - 1)];
  if (incoming.posted || incoming.due == 0) return;
  incoming.request =
      link_.ireceive(std::span(incoming.share.get(), 1), fpga_rank, quant::evaluation_tag);
  incoming.request.keep(incoming.share);
  incoming.posted = true;
  --incoming.due;
}

void Publisher::announce(quant::WeightPack pack) {
  const auto payload = std::make_shared<Payload>();
  payload->announcement = {.version = pack.version, .bytes = pack.bytes.size()};
  payload->pack = std::move(pack);
  Outgoing& outgoing = outgoing_.emplace_back();
  outgoing.announced = link_.ibroadcast(std::span(&payload->announcement, 1), 0);
  outgoing.announced.keep(payload);
  if (payload->pack.bytes.empty()) return;
  outgoing.sent = link_.ibroadcast(std::span(payload->pack.bytes), 0);
  outgoing.sent.keep(payload);
}

void Publisher::publish(quant::WeightPack pack) {
  ++awaited_;
  for (Incoming& incoming : incoming_) ++incoming.due;
  announce(std::move(pack));
}

std::vector<quant::Evaluation> Publisher::poll() {
  // Even a test that finds nothing may give the core away, on hosts with more ranks than cores.
  if (outgoing_.empty() && awaited_ == 0) return {};
  while (!outgoing_.empty() && outgoing_.front().announced.test() &&
         outgoing_.front().sent.test()) {
    outgoing_.pop_front();
  }
  for (int rank = 1; rank < link_.size(); ++rank) {
    Incoming& incoming = incoming_[static_cast<std::size_t>(rank - 1)];
    post_receive(rank);
    if (!incoming.posted || !incoming.request.test()) continue;
    incoming.posted = false;
    Collected& collected = collected_[incoming.share->version];
    collected.sum.version = incoming.share->version;
    collected.sum.merge(*incoming.share);
    ++collected.shares;
  }
  std::vector<quant::Evaluation> complete;
  while (!collected_.empty() && collected_.begin()->second.shares == link_.size() - 1) {
    complete.push_back(collected_.begin()->second.sum);
    collected_.erase(collected_.begin());
    --awaited_;
  }
  return complete;
}

std::vector<quant::Evaluation> Publisher::finish() {
  announce({});
  std::vector<quant::Evaluation> complete;
  while (awaited_ > 0 || !outgoing_.empty()) {
    const auto arrived = poll();
    complete.insert(complete.end(), arrived.begin(), arrived.end());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return complete;
}

}  // namespace dovetail
