// Tells a failing card apart from all other failures of an FPGA rank.
#pragma once

#include <utility>

#include "quant/range_error.hpp"
#include "support/error.hpp"

namespace dovetail::infer {

/// The card, or the engine on it, has failed: the job can go on without this rank.
class CardFailure : public Error {
 public:
  using Error::Error;
};

/// Runs a call into an engine; its Error becomes a CardFailure, but for a quant::RangeError, which
/// is no card's fault.
template <typename Call>
auto on_card(Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const quant::RangeError&) {
    throw;
  } catch (const Error& failure) {
    throw CardFailure(failure.what());
  }
}

}  // namespace dovetail::infer
