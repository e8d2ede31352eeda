// How the global batch is shared among ranks of unlike speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shards/share.hpp"

namespace dovetail {

enum class BalanceKind {
  equal,      // the same number of samples for all ranks
  automatic,  // as measured
  fixed       // as told
};

struct BalanceSettings {
  BalanceKind kind = BalanceKind::equal;
  std::vector<double> ratios;  // fixed: one a GPU rank, in rank order, above 0
};

/// "equal", "auto" or "3:1".
std::string to_string(const BalanceSettings& settings);
/// Throws UsageError for anything else.
BalanceSettings parse_balance(const std::string& text);

/// Samples for each rank, `batch` in all and at least one each, so that the longest of the times
/// samples[r] / speeds[r] is as short as whole samples allow: the next sample goes where it is done
/// first (the divisor method of D'Hondt and Jefferson). A tie goes to the lower rank. `most` limits
/// ranks; empty: nobody is limited. Throws Error where batch < ranks, a speed is not a positive
/// number, or the limits leave samples over.
std::vector<std::size_t> apportion(std::size_t batch, std::span<const double> speeds,
                                   std::span<const std::size_t> most = {});

/// Decides on shares of the batch: a function of the speeds it was given, so that ranks which give
/// it the same come to the same. Once shares are such that nobody waits, all ranks need the same
/// time for them, whatever part of it does not depend on the number of samples: then
/// speed = samples / seconds asks for the very shares that are in use.
class Balancer {
 public:
  /// Of the way to the measured speeds, how much is gone at a time: speeds are noisy, and depend
  /// on the shares. From the first measurement on nothing else is known, so all of it.
  static constexpr double damping = 0.5;
  /// Shares stay where the slowest rank would gain less of its time.
  static constexpr double threshold = 0.02;

  /// @param batch samples of a whole step that the ranks train on. Throws UsageError where it has
  /// fewer samples than ranks, or the ratios are of another number of ranks.
  Balancer(const BalanceSettings& settings, std::size_t batch, std::size_t ranks);

  /// Of any number of samples. Even until something else was told or measured.
  const Shares& shares() const { return shares_; }
  /// Of a whole step, by rank.
  const std::vector<std::size_t>& counts() const { return counts_; }

  /// Whether measured speeds may change the shares.
  bool adapts() const { return kind_ == BalanceKind::automatic && counts_.size() > 1; }
  /// Whether the shares follow a measurement, of this run or the one that is resumed.
  bool has_measured() const { return has_measured_; }

  /// Goes towards shares that suit the speeds, in samples a second by rank; true where the shares
  /// have changed. Throws Error where a speed is not a positive number.
  bool update(std::span<const double> speeds);

  /// Takes up shares from before; false, and nothing has changed, where they are not of this batch
  /// and these ranks.
  bool restore(std::span<const std::size_t> counts);

  /// The rank is never given more than it has now; `counts`, which were in use before, are again.
  void take_back(const std::vector<std::size_t>& counts, std::span<const std::uint8_t> is_full);

 private:
  void set(std::vector<std::size_t> counts);

  BalanceKind kind_;
  std::size_t batch_;
  Shares shares_;
  std::vector<std::size_t> counts_;
  std::vector<double> fractions_;  // of the batch, by rank, before they are whole samples
  std::vector<std::size_t> most_;  // by rank
  bool has_measured_ = false;
};

/// By how much of the mean the longest of the times exceeds it; 0 without any.
double imbalance(std::span<const double> seconds);

}  // namespace dovetail
