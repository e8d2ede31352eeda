// What the GPU root tells the FPGA ranks, and what goes ahead of the bytes that it sends them.
#pragma once

#include <cstdint>

namespace dovetail::quant {

/// Broadcast to all FPGA ranks, in one stream; trivially copyable. `bytes` of payload follow in a
/// broadcast of their own where there are any.
struct Announcement {
  enum class Kind : std::uint32_t {
    evaluate,  // a weight pack to be scored on the test set
    select,    // a weight pack to score coming samples with
    weights,   // a weight pack to compute gradients with
    progress,  // `version` steps are done
    roster,    // a byte for every FPGA rank: 1 while it serves
    end,       // training is over
    stop       // the job ends now: what is still to be evaluated is dropped
  };
  Kind kind = Kind::end;
  std::uint32_t format = 0;   // of an `evaluate`: its place in the list of formats
  std::uint64_t round = 0;    // of an `evaluate`: repeated with a new number when a rank retires
  std::uint64_t version = 0;  // optimiser steps done when this was sent
  std::uint64_t bytes = 0;
};

}  // namespace dovetail::quant
