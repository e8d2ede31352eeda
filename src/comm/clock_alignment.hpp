// Compares the clocks of a job's hosts.
#pragma once

#include "comm/communicator.hpp"
#include "support/clock_offset.hpp"

namespace dovetail {

/// This rank's steady_clock (mine) and rank 0's (theirs) at one moment, by messages there and back;
/// rank 0 answers one rank after the other. Where a rank shares rank 0's host and the messages do
/// not tell the clocks apart, they are one. Collective; takes some milliseconds a rank.
SameInstant clock_of_lead(const Communicator& ranks);

}  // namespace dovetail
