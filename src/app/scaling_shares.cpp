// Ratios go round the ranks; the balancer is told speeds until it changes nothing.
#include "app/scaling_shares.hpp"

namespace dovetail::app {
namespace {

constexpr int most_rounds = 100;  // damping halves what is left to do in each

}  // namespace

std::vector<double> simulated_shares(const BalanceSettings& balance,
                                     const bench::StepProfile& profile, std::size_t batch,
                                     std::size_t ranks) {
  if (balance.kind == BalanceKind::equal) return {};
  BalanceSettings settings = balance;
  if (balance.kind == BalanceKind::fixed) {
    settings.ratios.clear();
    for (std::size_t rank = 0; rank < ranks; ++rank)
      settings.ratios.push_back(balance.ratios[rank % balance.ratios.size()]);
  }
  Balancer balancer(settings, batch, ranks);
  for (int round = 0; round < most_rounds && balancer.adapts(); ++round) {
    std::vector<double> speeds;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const auto samples = static_cast<double>(balancer.counts()[rank]);
      speeds.push_back(samples / profile.compute_s(samples, rank));
    }
    if (!balancer.update(speeds)) break;
  }
  return {balancer.counts().begin(), balancer.counts().end()};
}

}  // namespace dovetail::app
