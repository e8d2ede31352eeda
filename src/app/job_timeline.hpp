// The timeline of a job: what its ranks record, gathered and written by the lead.
#pragma once

#include <cstdint>
#include <string>

#include "app/timeline_options.hpp"
#include "comm/communicator.hpp"
#include "comm/placement.hpp"
#include "support/clock_offset.hpp"

namespace dovetail::app {

class JobTimeline {
 public:
  /// Begins to record, where the options name a file: before devices are opened. Throws Error on
  /// the lead where the file cannot be written. Collective, as is finish().
  JobTimeline(const Communicator& world, const Placement& placement,
              const TimelineOptions& options);

  /// Ends the recording; the lead writes the file and says so. Devices have ended theirs
  /// (opencl::Device::end_timeline). Throws Error on the lead where the file cannot be written.
  void finish();

 private:
  bool wanted() const { return !options_.file.empty(); }
  std::string rank_name(int rank) const;

  const Communicator& world_;
  const Placement& placement_;
  TimelineOptions options_;
  SameInstant start_;         // mine: this rank's clock; theirs: the lead's
  std::int64_t zero_ns_ = 0;  // of the lead's clock
};

}  // namespace dovetail::app
