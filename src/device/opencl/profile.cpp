// Reads events' times once they are there.
#include "device/opencl/profile.hpp"

#include <algorithm>
#include <vector>

#include "device/opencl/check.hpp"
#include "support/error.hpp"

namespace dovetail::opencl {
namespace {

constexpr int looks = 24;
constexpr std::size_t harvest_at = 1024;  // commands, where nobody else asks for it

}  // namespace

std::optional<std::int64_t> time_of(cl_event event, cl_profiling_info what) {
  cl_ulong ns = 0;
  const cl_int status = clGetEventProfilingInfo(event, what, sizeof ns, &ns, nullptr);
  if (status == CL_PROFILING_INFO_NOT_AVAILABLE) return std::nullopt;
  check(status, "clGetEventProfilingInfo");
  return static_cast<std::int64_t>(ns);
}

Profile::Profile(cl_context context, cl_command_queue queue, const std::string& lane)
    : context_(context),
      queue_(queue),
      lane_(timeline::new_lane(lane)),
      first_(look_at_clock()),
      last_(first_) {
  timeline::set_clock(lane_, {first_, first_});
}

Profile::Profile(const Profile& kernels, cl_command_queue queue, const std::string& lane)
    : context_(kernels.context_),
      queue_(queue),
      lane_(timeline::new_lane(lane)),
      clock_of_(&kernels),
      first_(kernels.first_),
      last_(kernels.last_) {
  timeline::set_clock(lane_, {first_, last_});
}

Profile::~Profile() {
  for (const Command& command : commands_) {
    if (command.event) clReleaseEvent(command.event);
  }
}

SameInstant Profile::look_at_clock() {
  cl_int status = CL_SUCCESS;
  cl_mem memory = clCreateBuffer(context_, CL_MEM_READ_WRITE, sizeof(cl_int), nullptr, &status);
  check(status, "clCreateBuffer");
  std::vector<ClockExchange> run, all;
  for (int i = 0; i < looks && status == CL_SUCCESS; ++i) {
    const cl_int zero = 0;
    cl_event event = nullptr;
    // Not a fill: of one in a queue of copies NVIDIA's driver (580.159) notes no times.
    const std::int64_t before = steady_ns();
    status =
        clEnqueueWriteBuffer(queue_, memory, CL_FALSE, 0, sizeof zero, &zero, 0, nullptr, &event);
    const std::int64_t enqueued = steady_ns();
    if (status != CL_SUCCESS) break;
    status = clFinish(queue_);
    const std::int64_t after = steady_ns();
    if (status == CL_SUCCESS) {
      const auto begin = time_of(event, CL_PROFILING_COMMAND_START);
      const auto end = time_of(event, CL_PROFILING_COMMAND_END);
      const auto queued = time_of(event, CL_PROFILING_COMMAND_QUEUED);
      if (begin && end) {
        run.push_back({before, *begin, *end, after});
        all.push_back(run.back());
        if (queued) all.push_back({before, *queued, *queued, enqueued});
      }
    }
    clReleaseEvent(event);
  }
  clReleaseMemObject(memory);
  check(status, "clEnqueueWriteBuffer");
  if (run.empty()) {
    throw Error("the OpenCL driver tells no times of the commands of a queue made for that",
                "Leave out --timeline");
  }
  // Some drivers take the time of queueing from elsewhere; then it contradicts the others.
  if (const auto best = same_instant(all)) return *best;
  return same_instant(run).value_or(least_round_trip(run));
}

cl_event* Profile::next(timeline::Category category, std::string_view name, std::uint64_t bytes,
                        std::int32_t bucket) {
  if (!timeline::detailed()) return nullptr;
  if (commands_.size() >= harvest_at) harvest();
  Command& command = commands_.emplace_back();
  command.span = timeline::span_of(lane_, category, timeline::intern(name));
  command.span.bytes = bytes;
  command.span.bucket = bucket;
  return &command.event;
}

void Profile::add(cl_event event, timeline::Category category, std::string_view name,
                  std::uint64_t bytes, std::int32_t bucket) {
  cl_event* place = next(category, name, bytes, bucket);
  if (!place) return;
  check(clRetainEvent(event), "clRetainEvent");
  *place = event;
}

bool Profile::read_times(cl_event event, timeline::Span& span) {
  const auto begin = time_of(event, CL_PROFILING_COMMAND_START);
  const auto end = time_of(event, CL_PROFILING_COMMAND_END);
  if (!begin || !end) return false;
  span.begin_ns = *begin;
  span.end_ns = *end;
  return true;
}

void Profile::harvest() {
  while (!commands_.empty()) {
    Command& command = commands_.front();
    cl_int status = CL_COMPLETE;
    if (command.event &&
        clGetEventInfo(command.event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                       nullptr) == CL_SUCCESS &&
        status > CL_COMPLETE)
      return;
    if (command.event && status == CL_COMPLETE && read_times(command.event, command.span)) {
      // One command after the other: whatever the driver's stamps say to some nanoseconds.
      command.span.begin_ns = std::max(command.span.begin_ns, last_end_ns_);
      command.span.end_ns = std::max(command.span.end_ns, command.span.begin_ns);
      last_end_ns_ = command.span.end_ns;
      timeline::record(command.span);
    }
    if (command.event) clReleaseEvent(command.event);
    commands_.pop_front();
  }
}

void Profile::end() {
  check(clFinish(queue_), "clFinish");
  harvest();
  last_ = clock_of_ ? clock_of_->last_ : look_at_clock();
  timeline::set_clock(lane_, {first_, last_});
}

}  // namespace dovetail::opencl
