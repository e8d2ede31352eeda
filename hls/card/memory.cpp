// Allocates, finds and synchronises the card's buffers.
#include "card/memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "card/refusal.hpp"
#include "xrt_mem.h"

namespace dovetail::card {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t port_bytes = 64;
constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

Buffer::Kind kind_of(unsigned flags) {
  if (flags & (XCL_BO_FLAGS_HOST_ONLY | XCL_BO_FLAGS_P2P | XCL_BO_FLAGS_SVM)) {
    throw Refusal(EOPNOTSUPP,
                  "buffers in host memory, peer-to-peer and shared virtual ones are not emulated");
  }
  if (flags & XCL_BO_FLAGS_EXECBUF) return Buffer::Kind::commands;
  if (flags & XCL_BO_FLAGS_DEV_ONLY) return Buffer::Kind::card_only;
  return Buffer::Kind::mirrored;
}

}  // namespace

Pages::Pages(std::size_t bytes) {
  if (bytes == 0) return;
  mapped_ = round_up(bytes, page_bytes) + page_bytes;
  void* start = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) throw Refusal(ENOMEM, "the host has no memory left for a card buffer");
  begin_ = static_cast<std::byte*>(start);
  ::mprotect(begin_ + mapped_ - page_bytes, page_bytes, PROT_NONE);
  if (bytes >= huge_page_bytes) ::madvise(begin_, mapped_ - page_bytes, MADV_HUGEPAGE);
}

Pages::~Pages() {
  if (begin_ != nullptr) ::munmap(begin_, mapped_);
}

std::byte* Pages::ending(std::size_t bytes) const {
  return begin_ + mapped_ - page_bytes - round_up(bytes, port_bytes);
}

Buffer::Buffer(std::size_t bytes, Kind kind, unsigned flags, void* user_memory)
    : bytes_(bytes),
      kind_(kind),
      flags_(flags),
      host_pages_(kind == Kind::card_only || user_memory != nullptr ? 0 : bytes),
      device_pages_(kind == Kind::commands ? 0 : bytes) {
  if (kind != Kind::card_only) {
    host_ = user_memory != nullptr ? static_cast<std::byte*>(user_memory) : host_pages_.begin();
  }
  if (kind != Kind::commands) device_ = device_pages_.ending(bytes);
}

void Buffer::sync(Direction direction, std::size_t bytes, std::size_t offset) {
  if (kind_ != Kind::mirrored)
    throw Refusal(EINVAL, "only a buffer with a host and a card copy can be synchronised");
  if (offset > bytes_ || bytes > bytes_ - offset) {
    throw Refusal(EINVAL, "synchronising " + std::to_string(bytes) + " bytes at " +
                              std::to_string(offset) + " leaves a buffer of " +
                              std::to_string(bytes_));
  }
  if (direction == Direction::to_card) {
    std::memcpy(device_ + offset, host_ + offset, bytes);
  } else {
    std::memcpy(host_ + offset, device_ + offset, bytes);
  }
}

void Memory::set_banks(std::vector<Bank> banks) {
  const std::lock_guard lock(mutex_);
  banks_ = std::move(banks);
}

bool Memory::in_use() const {
  const std::lock_guard lock(mutex_);
  return !by_address_.empty();
}

std::uint64_t Memory::claim_addresses(unsigned bank, std::size_t bytes) const {
  const Bank& where = banks_[bank];
  const std::uint64_t end = where.base + where.bytes;
  std::uint64_t start = where.base;
  // First fit: by_address_ is in order of address, so the gaps of the bank come by one after the
  // other.
  for (auto next = by_address_.lower_bound(start); next != by_address_.end() && next->first < end;
       ++next) {
    if (next->first - start >= bytes) return start;
    start = next->first + round_up(next->second->bytes(), page_bytes);
  }
  if (start > end || end - start < bytes) {
    throw Refusal(ENOMEM,
                  "bank " + where.tag + " has no room for " + std::to_string(bytes) + " bytes");
  }
  return start;
}

unsigned Memory::allocate(std::size_t bytes, unsigned flags, void* user_memory) {
  if (bytes == 0) throw Refusal(EINVAL, "a buffer of 0 bytes");
  const Buffer::Kind kind = kind_of(flags);
  const auto bank = static_cast<unsigned>(flags & XRT_BO_FLAGS_MEMIDX_MASK);
  const std::lock_guard lock(mutex_);
  std::uint64_t address = 0;
  if (kind != Buffer::Kind::commands) {
    if (bank >= banks_.size() || !banks_[bank].used) {
      throw Refusal(EINVAL,
                    "no kernel of the loaded xclbin is connected to bank " + std::to_string(bank));
    }
    address = claim_addresses(bank, bytes);
  }
  auto buffer = std::make_shared<Buffer>(bytes, kind, flags, user_memory);
  buffer->bank = bank;
  buffer->address = address;
  if (address != 0) by_address_.emplace(address, buffer);
  const unsigned handle = next_handle_++;
  by_handle_.emplace(handle, std::move(buffer));
  return handle;
}

void Memory::free(unsigned handle) {
  const std::lock_guard lock(mutex_);
  const auto found = by_handle_.find(handle);
  if (found == by_handle_.end())
    throw Refusal(ENOENT, "freeing buffer " + std::to_string(handle) + ", which is not there");
  by_address_.erase(found->second->address);
  by_handle_.erase(found);
}

std::shared_ptr<Buffer> Memory::find(unsigned handle) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_handle_.find(handle);
  if (found == by_handle_.end())
    throw Refusal(ENOENT, "there is no buffer " + std::to_string(handle));
  return found->second;
}

Place Memory::at(std::uint64_t address) const {
  const std::lock_guard lock(mutex_);
  auto next = by_address_.upper_bound(address);
  if (next == by_address_.begin()) return {};
  --next;
  const std::uint64_t offset = address - next->first;
  if (offset >= next->second->bytes()) return {};
  return {next->second, offset};
}

}  // namespace dovetail::card
