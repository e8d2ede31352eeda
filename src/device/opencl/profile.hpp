// The times of a queue's commands, as spans of the timeline. Only this folder's .cpp files include
// it.
#pragma once

#include <CL/cl.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "support/clock_offset.hpp"
#include "support/timeline.hpp"

namespace dovetail::opencl {

/// When a completed command was at CL_PROFILING_COMMAND_…, in ns of the device's clock; none where
/// the driver has not noted it.
std::optional<std::int64_t> time_of(cl_event event, cl_profiling_info what);

/// Of one in-order queue with CL_QUEUE_PROFILING_ENABLE, in the thread that enqueues. Nothing waits
/// for a command: what has completed is looked at now and then.
///
/// The device's counter is told in steady_clock by commands between two looks at that clock
/// (same_instant), at the queue's start and at the end. clGetDeviceAndHostTimer would be the direct
/// way; PoCL 3.1 refuses it (CL_INVALID_OPERATION), and OpenCL 1.2 has no such call.
class Profile {
 public:
  /// Waits for some small commands. `lane`: the name of the queue's.
  Profile(cl_context context, cl_command_queue queue, const std::string& lane);
  /// Of another queue of `kernels`' device, by the look that it took at the clock and will take at
  /// its end, which is to come first: so the two lanes' times can be set against each other.
  Profile(const Profile& kernels, cl_command_queue queue, const std::string& lane);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  /// Where the next command is to put its event; null where it is not recorded.
  cl_event* next(timeline::Category category, std::string_view name, std::uint64_t bytes,
                 std::int32_t bucket = -1);
  /// A command whose event is another's too.
  void add(cl_event event, timeline::Category category, std::string_view name, std::uint64_t bytes,
           std::int32_t bucket = -1);
  /// Records what has completed.
  void harvest();
  /// Waits for all commands, records them, and looks at the device's clock again.
  void end();

 private:
  struct Command {
    cl_event event = nullptr;
    timeline::Span span;
  };
  /// False where the event's times cannot be had.
  static bool read_times(cl_event event, timeline::Span& span);
  SameInstant look_at_clock();

  cl_context context_;
  cl_command_queue queue_;
  timeline::Lane lane_;
  const Profile* clock_of_ = nullptr;  // null: its own
  SameInstant first_, last_;           // mine: steady_clock; theirs: the device's
  std::deque<Command> commands_;
  std::int64_t last_end_ns_ = 0;  // of the device's clock
};

}  // namespace dovetail::opencl
