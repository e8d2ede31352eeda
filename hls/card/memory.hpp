// The card's memory: banks with addresses of their own, and buffers with one copy on the host and
// one on the card.
//
// Thread-safe. A buffer lives until it is freed and no launch uses it any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace dovetail::card {

struct Bank {
  std::string tag;  // "HBM[3]"
  std::uint64_t base = 0;
  std::uint64_t bytes = 0;
  bool used = false;  // connected to a kernel
};

/// Zeroed pages that end at a guard page, so that running past the end is a fault and not a wrong
/// number.
class Pages {
 public:
  /// 0 bytes: no pages at all.
  explicit Pages(std::size_t bytes);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  std::byte* begin() const { return begin_; }
  /// Where `bytes` bytes start that end at the guard page, to a multiple of 64: the alignment of a
  /// 512-bit port.
  std::byte* ending(std::size_t bytes) const;

 private:
  std::byte* begin_ = nullptr;
  std::size_t mapped_ = 0;
};

enum class Direction { to_card, to_host };

class Buffer {
 public:
  enum class Kind { mirrored, card_only, commands };

  Buffer(std::size_t bytes, Kind kind, unsigned flags, void* user_memory);

  void sync(Direction direction, std::size_t bytes, std::size_t offset);

  std::size_t bytes() const { return bytes_; }
  Kind kind() const { return kind_; }
  unsigned flags() const { return flags_; }
  std::byte* host() const { return host_; }
  std::byte* device() const { return device_; }

  // Set by Memory; 0 for buffers of commands, which the card does not hold.
  unsigned bank = 0;
  std::uint64_t address = 0;

 private:
  std::size_t bytes_;
  Kind kind_;
  unsigned flags_;
  Pages host_pages_;
  Pages device_pages_;
  std::byte* host_ = nullptr;
  std::byte* device_ = nullptr;
};

/// A card address found in a buffer.
struct Place {
  std::shared_ptr<Buffer> buffer;
  std::size_t offset = 0;

  std::byte* pointer() const { return buffer->device() + offset; }
  std::size_t rest() const { return buffer->bytes() - offset; }
};

class Memory {
 public:
  void set_banks(std::vector<Bank> banks);
  const std::vector<Bank>& banks() const { return banks_; }

  /// Returns the new buffer's handle. `flags` are XRT's: the bank in the low 24 bits. Throws
  /// Refusal.
  unsigned allocate(std::size_t bytes, unsigned flags, void* user_memory);
  void free(unsigned handle);
  /// Throws Refusal where there is no such buffer.
  std::shared_ptr<Buffer> find(unsigned handle) const;
  /// The buffer that holds a card address; none: an empty place.
  Place at(std::uint64_t address) const;
  /// True while a buffer of a bank is allocated: its banks must not change.
  bool in_use() const;

 private:
  std::uint64_t claim_addresses(unsigned bank, std::size_t bytes) const;

  mutable std::mutex mutex_;
  std::vector<Bank> banks_;
  std::map<unsigned, std::shared_ptr<Buffer>> by_handle_;
  std::map<std::uint64_t, std::shared_ptr<Buffer>> by_address_;
  unsigned next_handle_ = 1;
};

}  // namespace dovetail::card
