// Runs a kernel so that its exception or memory fault becomes an error of the card, not the end of
// the process.
#pragma once

#include <functional>
#include <string>

namespace dovetail::card {

/// Empty when `call` returned; otherwise why it did not. Only faults of the calling thread are
/// caught; what `call` had allocated is lost then, as on a card that has to be reset.
std::string guarded(const std::function<void()>& call);

}  // namespace dovetail::card
