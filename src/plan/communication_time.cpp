// Measures the union of intervals.
#include "plan/communication_time.hpp"

#include <algorithm>
#include <vector>

namespace dovetail {

CommunicationTime communication_time(std::span<const BucketTrip> trips, double computed_s) {
  std::vector<BucketTrip> sorted(trips.begin(), trips.end());
  std::ranges::sort(sorted, {}, &BucketTrip::begin_s);
  CommunicationTime time;
  double counted_until = sorted.empty() ? 0 : sorted.front().begin_s;
  for (const BucketTrip& trip : sorted) {
    const double begin = std::max(trip.begin_s, counted_until);
    if (trip.end_s <= begin) continue;
    time.total_s += trip.end_s - begin;
    time.exposed_s += std::max(0.0, trip.end_s - std::max(begin, computed_s));
    counted_until = trip.end_s;
  }
  return time;
}

}  // namespace dovetail
