// What the FPGA ranks say of one published weight pack.
#pragma once

#include <cstdint>

namespace dovetail::quant {

/// Sums over the samples that were evaluated; trivially copyable, so that it travels between ranks
/// as it is.
struct Evaluation {
  std::uint64_t version = 0;  // of the weight pack: optimiser steps done
  std::uint32_t format = 0;   // its place in the list of formats
  std::uint64_t samples = 0;
  std::uint64_t correct = 0;
  double loss_sum = 0;  // cross-entropy
  double seconds = 0;   // of the slowest rank, loading included

  double accuracy() const {
    return samples == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(samples);
  }
  double loss() const { return samples == 0 ? 0 : loss_sum / static_cast<double>(samples); }
  /// Joins the shares of two ranks.
  void merge(const Evaluation& other) {
    samples += other.samples;
    correct += other.correct;
    loss_sum += other.loss_sum;
    seconds = seconds > other.seconds ? seconds : other.seconds;
  }
};

}  // namespace dovetail::quant
