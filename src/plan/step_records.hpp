// What the host is told of steps whose sums stay on the device: records that come to it behind the
// device's work, while later steps are enqueued.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "device/opencl/hosted_buffer.hpp"
#include "ops/record_sums.hpp"

namespace dovetail::plan {

/// Records lie in two pages: one travels to the host while the other is written.
class StepRecords {
 public:
  static constexpr std::size_t per_page = 8, most = 2 * per_page;

  /// Of sums of `gradients` floats, and `rest` floats behind them.
  StepRecords(opencl::Device& device, std::size_t gradients, std::size_t rest,
              opencl::HostedBuffer::Way way);

  bool has_room() const;
  /// The place of the next record, for something else to make it. Throws Error without room.
  const opencl::Buffer& next_place();
  /// Enqueues the record of the sums as they will be then, there.
  void make(const opencl::Buffer& sums);
  /// It has been enqueued, and whatever else reads it on the device.
  void note_added();
  /// Those added since the last time set out for the host; otherwise a full page does.
  void send();
  /// Whether the oldest one has arrived.
  bool arrived() const;
  /// Whether the newest that set out are still on their way, so that the device has work.
  bool are_travelling() const;

  struct Record {
    std::optional<std::size_t> first_not_finite;  // of the gradients
    std::span<float> rest;                        // until the next one is taken
  };
  /// Waits for the oldest one.
  Record take();

 private:
  struct Page {
    opencl::HostedBuffer memory;
    std::vector<opencl::Buffer> places;
    std::size_t added = 0, taken = 0;
    bool is_sent = false;
  };
  void release(Page& page);
  void clear(const opencl::Buffer& place);

  opencl::Device& device_;
  RecordSums record_;
  std::size_t stride_;  // words from one place to the next
  std::array<Page, 2> pages_;
  std::size_t written_ = 0, oldest_ = 0;  // pages
  std::vector<float> newest_;             // taken
};

}  // namespace dovetail::plan
