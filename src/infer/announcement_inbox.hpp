// Receives what the GPU root announces.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "comm/communicator.hpp"
#include "quant/announcement.hpp"

namespace dovetail {

/// Lives on every rank of `link` but rank 0. After `end` or `stop` nothing more may be asked for.
class AnnouncementInbox {
 public:
  struct Message {
    quant::Announcement announcement;
    std::vector<std::uint8_t> payload;
  };

  explicit AnnouncementInbox(Communicator& link);

  /// The next message if it is here; never waits.
  std::optional<Message> poll();
  /// The next message. Tests once per `interval`, or where that is zero as often as Request::wait.
  Message wait(std::chrono::milliseconds interval);
  /// The next message, or nullopt as soon as `give_up` is true; both are tested once per
  /// `interval`.
  std::optional<Message> wait_unless(std::chrono::milliseconds interval,
                                     const std::function<bool()>& give_up);

 private:
  struct Incoming {
    quant::Announcement announcement;
    std::vector<std::uint8_t> payload;
  };
  void expect_announcement();
  /// Moves on from the announcement to its payload; true while there is one to come.
  bool expects_payload();
  Message take();

  Communicator& link_;
  std::shared_ptr<Incoming> incoming_;
  Request request_;
  bool payload_begun_ = false;
};

}  // namespace dovetail
