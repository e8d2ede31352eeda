// What an FPGA rank sends to the GPU root, ahead of its payload.
#pragma once

#include <cstdint>

#include "quant/evaluation.hpp"

namespace dovetail::quant {

/// Trivially copyable. `bytes` of payload follow as a message of their own where there are any.
struct Report {
  enum class Kind : std::uint32_t {
    evaluation,  // this rank's share of one; no payload
    scores,      // float32 losses of the samples [begin, begin + samples) of a step's pool
    gradients,   // float32, summed over the samples [begin, begin + samples) of a step's share
    retired,     // the rank's card has failed; the payload says why
    stop,        // a signal asks this rank's process to stop
    done         // nothing more comes
  };
  Kind kind = Kind::done;
  /// Of an evaluation: as announced. Of gradients: how many rosters the rank had heard of when it
  /// cut its share.
  std::uint64_t round = 0;
  std::uint64_t step = 0;  // of scores and gradients: which step they are meant for
  std::uint64_t begin = 0;
  Evaluation sums{};  // version of the weights, samples; loss and hits where they are known
  std::uint64_t bytes = 0;
};

/// Reports, and behind each its payload: MPI keeps the order within a tag.
inline constexpr int report_tag = 1;
inline constexpr int payload_tag = 2;

}  // namespace dovetail::quant
