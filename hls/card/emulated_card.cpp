// Loads xclbins, allocates, synchronises and executes on one emulated card.
#include "card/emulated_card.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "card/launch.hpp"
#include "card/refusal.hpp"
#include "xrt_mem.h"

namespace dovetail::card {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

unsigned card_count() {
  const std::string text = environment("DOVETAIL_EMULATED_CARDS");
  if (text.empty()) return 1;
  std::istringstream number(text);
  unsigned count = 0;
  if (!(number >> count) || !number.eof() || count > 1024) {
    throw Refusal(EINVAL, "DOVETAIL_EMULATED_CARDS is '" + text + "', not a number of cards");
  }
  return count;
}

EmulatedCard::EmulatedCard()
    : board_(std::make_shared<Board>(environment("DOVETAIL_CARD_FAULT"))) {}

void EmulatedCard::expect_present() const {
  if (gone_) throw Refusal(ENODEV, "the card is gone");
}

void EmulatedCard::load(const axlf* xclbin) {
  const std::lock_guard lock(mutex_);
  expect_present();
  board_->faults.hang_at(Fault::load);
  const std::string uuid(reinterpret_cast<const char*>(xclbin->m_header.uuid),
                         sizeof xclbin->m_header.uuid);
  if (uuid == loaded_) return;
  if (!contexts_.empty() || board_->memory.in_use()) {
    throw Refusal(EBUSY, "another xclbin is in use: close its kernels and free its buffers first");
  }
  auto image = std::make_unique<Image>(xclbin);
  if (image->units().size() > max_units)
    throw Refusal(EINVAL, "the xclbin has more than 128 compute units");
  units_.reset();
  board_->memory.set_banks(image->banks());
  board_->image = std::move(image);
  units_ = std::make_unique<ComputeUnits>(
      board_->image->units().size(), [board = board_](const Command& command, std::size_t unit) {
        return board->run(command, unit);
      });
  loaded_ = uuid;
}

unsigned EmulatedCard::allocate(std::size_t bytes, unsigned flags, void* user_memory) {
  expect_present();
  const bool for_commands = (flags & XCL_BO_FLAGS_EXECBUF) != 0;
  if (!for_commands && board_->faults.strikes(Fault::alloc))
    throw Refusal(ENOMEM, "injected fault: no memory");
  return board_->memory.allocate(bytes, flags, user_memory);
}

void EmulatedCard::free(unsigned buffer) {
  board_->memory.free(buffer);
}

std::shared_ptr<Buffer> EmulatedCard::find(unsigned buffer) const {
  return board_->memory.find(buffer);
}

void EmulatedCard::sync(unsigned buffer, Direction direction, std::size_t bytes,
                        std::size_t offset) {
  expect_present();
  const std::shared_ptr<Buffer> found = board_->memory.find(buffer);
  if (bytes > 0)
    board_->faults.hang_at(direction == Direction::to_card ? Fault::write : Fault::read);
  found->sync(direction, bytes, offset);
  if (direction == Direction::to_host && bytes > 0 && board_->faults.strikes(Fault::corrupt)) {
    found->host()[offset + bytes / 2] ^= std::byte{0x10};
  }
}

void EmulatedCard::copy(unsigned target, unsigned source, std::size_t bytes,
                        std::size_t target_offset, std::size_t source_offset) {
  expect_present();
  copy_between({board_->memory.find(source), source_offset},
               {board_->memory.find(target), target_offset}, bytes);
}

void EmulatedCard::open_context(unsigned unit) {
  const std::lock_guard lock(mutex_);
  expect_present();
  if (board_->image == nullptr) throw Refusal(EINVAL, "no xclbin is loaded");
  if (unit != ~0U && unit >= board_->image->units().size()) {
    throw Refusal(EINVAL, "the xclbin has no compute unit " + std::to_string(unit));
  }
  ++contexts_[unit];
}

void EmulatedCard::close_context(unsigned unit) {
  const std::lock_guard lock(mutex_);
  const auto found = contexts_.find(unit);
  if (found == contexts_.end())
    throw Refusal(EINVAL, "compute unit " + std::to_string(unit) + " is not open");
  if (--found->second == 0) contexts_.erase(found);
}

void EmulatedCard::execute(unsigned command_buffer) {
  const std::lock_guard lock(mutex_);
  expect_present();
  if (units_ == nullptr) throw Refusal(EINVAL, "no xclbin is loaded");
  Command command;
  command.buffer = board_->memory.find(command_buffer);
  if (command.buffer->kind() != Buffer::Kind::commands)
    throw Refusal(EINVAL, "a command in a buffer for data");
  switch (command.opcode()) {
    case ERT_START_CU:
      if (board_->faults.strikes(Fault::gone)) gone_ = true;
      expect_present();
      command.fails = board_->faults.strikes(Fault::fail);
      command.hangs = board_->faults.strikes(Fault::hang);
      command.silent = board_->faults.strikes(Fault::silent);
      command.allowed = allowed_units(command.packet(), board_->image->units().size());
      for (std::size_t unit = 0; unit < max_units; ++unit) {
        if (command.allowed[unit] && contexts_.count(static_cast<unsigned>(unit)) == 0) {
          throw Refusal(
              EINVAL, "a command for " + board_->image->units()[unit].name + ", which is not open");
        }
      }
      break;
    case ERT_START_COPYBO:
      command.allowed.set(copy_engine);
      break;
    default:
      throw Refusal(EOPNOTSUPP, "commands with opcode " + std::to_string(command.opcode()) +
                                    " are not emulated");
  }
  units_->submit(std::move(command));
}

bool EmulatedCard::wait_for_end(int timeout_ms) {
  if (units_ == nullptr) throw Refusal(EINVAL, "no xclbin is loaded");
  return units_->wait_for_end(timeout_ms);
}

bool EmulatedCard::Board::run(const Command& command, std::size_t unit) {
  try {
    if (unit == copy_engine) {
      card::copy(command, memory);
      return true;
    }
    while (command.hangs) ::pause();
    if (command.fails) throw Refusal(EIO, image->units()[unit].name + " failed: injected fault");
    launch(command, image->units()[unit], memory);
    return true;
  } catch (const Refusal& refusal) {
    complain(refusal.what());
    return false;
  }
}

}  // namespace dovetail::card
