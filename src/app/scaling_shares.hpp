// The shares of the batch that simulated ranks train on.
#pragma once

#include <cstddef>
#include <vector>

#include "bench/scaling.hpp"
#include "train/balancer.hpp"

namespace dovetail::app {

/// Samples by rank of a step of `batch` samples on `ranks` ranks, which are like the measured ones
/// in turn: with ratios, one a measured rank, these again and again; automatic, those at which
/// training's balancer comes to rest, told the profile's speeds. Empty for equal shares. Throws
/// UsageError where there are fewer samples than ranks.
std::vector<double> simulated_shares(const BalanceSettings& balance,
                                     const bench::StepProfile& profile, std::size_t batch,
                                     std::size_t ranks);

}  // namespace dovetail::app
