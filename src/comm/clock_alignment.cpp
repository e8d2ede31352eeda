// Ping-pong with rank 0.
#include "comm/clock_alignment.hpp"

#include <array>
#include <cstdlib>
#include <vector>

namespace dovetail {
namespace {

constexpr int rounds = 40;
constexpr int ping_tag = 710, pong_tag = 711;

using Readings = std::array<std::int64_t, 2>;  // when the ping came, when the pong went

void answer(const Communicator& ranks, int rank) {
  std::array<char, 1> ping{};
  for (int round = 0; round < rounds; ++round) {
    ranks.receive(ping, rank, ping_tag);
    Readings readings{};
    readings[0] = steady_ns();
    readings[1] = steady_ns();
    ranks.send(readings, rank, pong_tag);
  }
}

SameInstant ask(const Communicator& ranks) {
  const std::array<char, 1> ping{};
  std::vector<ClockExchange> exchanges;
  for (int round = 0; round < rounds; ++round) {
    ClockExchange exchange;
    Readings readings{};
    exchange.sent = steady_ns();
    ranks.send(ping, 0, ping_tag);
    ranks.receive(readings, 0, pong_tag);
    exchange.received = steady_ns();
    exchange.theirs_first = readings[0];
    exchange.theirs_last = readings[1];
    exchanges.push_back(exchange);
  }
  return same_instant(exchanges).value_or(least_round_trip(exchanges));
}

}  // namespace

SameInstant clock_of_lead(const Communicator& ranks) {
  if (ranks.is_lead()) {
    for (int rank = 1; rank < ranks.size(); ++rank) answer(ranks, rank);
    const std::int64_t now = steady_ns();
    return {now, now, 0};
  }
  SameInstant found = ask(ranks);
  const bool may_be_one = std::abs(found.offset()) <= found.uncertainty;
  if (may_be_one && ranks.host() == ranks.hosts().front()) found = {found.mine, found.mine, 0};
  return found;
}

}  // namespace dovetail
