// Ping-pong over MPI.
#include "bench/link.hpp"

#include <algorithm>
#include <cmath>

#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::bench {
namespace {

constexpr int ping_tag = 71;
constexpr double seconds_a_size = 0.3;

/// The same number on all ranks: as many repetitions as fit the time, by the slowest rank.
int repetitions(const Communicator& ranks, double once_s) {
  const double slowest = ranks.all_reduce_max(once_s);
  return std::clamp(static_cast<int>(seconds_a_size / std::max(slowest, 1e-9)), 10, 2000);
}

}  // namespace

LinkModel fit(const std::vector<Message>& messages) {
  // minimise Σ ((a + b n) / t − 1)²
  double s11 = 0, s12 = 0, s22 = 0, r1 = 0, r2 = 0;
  for (const Message& message : messages) {
    const double t = message.one_way.median_s, n = static_cast<double>(message.bytes);
    s11 += 1 / (t * t);
    s12 += n / (t * t);
    s22 += n * n / (t * t);
    r1 += 1 / t;
    r2 += n / t;
  }
  const double determinant = s11 * s22 - s12 * s12;
  if (messages.size() < 2 || !(determinant > 0)) {
    throw Error("a link's latency and bandwidth need messages of two sizes at least",
                "Measure more sizes");
  }
  LinkModel model;
  model.latency_s = std::max((r1 * s22 - r2 * s12) / determinant, 0.0);
  const double per_byte = (r2 * s11 - r1 * s12) / determinant;
  model.bytes_per_s = 1 / std::max(per_byte, 1e-15);
  for (const Message& message : messages) {
    const double predicted =
        model.latency_s + static_cast<double>(message.bytes) / model.bytes_per_s;
    model.worst_error =
        std::max(model.worst_error, std::abs(predicted / message.one_way.median_s - 1));
  }
  return model;
}

std::vector<Message> ping_pong(const Communicator& ranks, int peer,
                               const std::vector<std::size_t>& sizes) {
  std::vector<Message> messages;
  for (const std::size_t bytes : sizes) {
    std::vector<std::uint8_t> payload(bytes, 1);
    const auto exchange = [&] {
      const Stopwatch watch;
      if (ranks.rank() == 0) {
        ranks.send(payload, peer, ping_tag);
        ranks.receive(payload, peer, ping_tag);
      } else if (ranks.rank() == peer) {
        ranks.receive(payload, 0, ping_tag);
        ranks.send(payload, 0, ping_tag);
      }
      return watch.seconds();
    };
    exchange();
    const int count = repetitions(ranks, exchange());
    std::vector<double> one_way(static_cast<std::size_t>(count));
    for (double& seconds : one_way) seconds = exchange() / 2;
    if (ranks.rank() == 0) messages.push_back({bytes, spread(std::move(one_way))});
    ranks.barrier();
  }
  return messages;
}

}  // namespace dovetail::bench
