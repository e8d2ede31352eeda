// Joins the root's broadcasts one after the other: an announcement, and its payload if it has one.
#include "infer/announcement_inbox.hpp"

#include <thread>

namespace dovetail {

AnnouncementInbox::AnnouncementInbox(Communicator& link) : link_(link) {
  expect_announcement();
}

void AnnouncementInbox::expect_announcement() {
  incoming_ = std::make_shared<Incoming>();
  payload_begun_ = false;
  request_ = link_.ibroadcast(std::span(&incoming_->announcement, 1), 0);
  request_.keep(incoming_);
}

bool AnnouncementInbox::expects_payload() {
  if (payload_begun_ || incoming_->announcement.bytes == 0) return false;
  payload_begun_ = true;
  incoming_->payload.resize(incoming_->announcement.bytes);
  request_ = link_.ibroadcast(std::span(incoming_->payload), 0);
  request_.keep(incoming_);
  return true;
}

AnnouncementInbox::Message AnnouncementInbox::take() {
  Message message{incoming_->announcement, std::move(incoming_->payload)};
  using Kind = quant::Announcement::Kind;
  const Kind kind = message.announcement.kind;
  if (kind != Kind::end && kind != Kind::stop) expect_announcement();
  return message;
}

std::optional<AnnouncementInbox::Message> AnnouncementInbox::poll() {
  do {
    if (!request_.test()) return std::nullopt;
  } while (expects_payload());
  return take();
}

AnnouncementInbox::Message AnnouncementInbox::wait(std::chrono::milliseconds interval) {
  do {
    if (interval.count() == 0) {
      request_.wait();
    } else {
      request_.wait_idle(interval);
    }
  } while (expects_payload());
  return take();
}

std::optional<AnnouncementInbox::Message> AnnouncementInbox::wait_unless(
    std::chrono::milliseconds interval, const std::function<bool()>& give_up) {
  while (true) {
    if (std::optional<Message> message = poll()) return message;
    if (give_up()) return std::nullopt;
    std::this_thread::sleep_for(interval);
  }
}

}  // namespace dovetail
