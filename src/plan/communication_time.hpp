// How long sums over the ranks are under way, and how much of that hides behind a backward pass.
#pragma once

#include <span>

namespace dovetail {

/// Of one rank.
struct CommunicationTime {
  double total_s = 0;    // while at least one bucket was under way
  double exposed_s = 0;  // of that, after the rank's own backward pass was done
  double hidden() const { return total_s > 0 ? 1 - exposed_s / total_s : 0; }  // share of it
  CommunicationTime& operator+=(const CommunicationTime& other) {
    total_s += other.total_s;
    exposed_s += other.exposed_s;
    return *this;
  }
};

/// When a bucket was under way, in seconds of any clock.
struct BucketTrip {
  double begin_s = 0, end_s = 0;
};

/// Of one step, whose backward pass was done at `computed_s`. Trips in any order.
CommunicationTime communication_time(std::span<const BucketTrip> trips, double computed_s);

}  // namespace dovetail
