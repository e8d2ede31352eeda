// A bounded first-in first-out stream between two stages, on the host.
//
// Its depth is a template argument as in Vitis, and it is honest: a write to a full stream waits.
// Not for use by more than one thread; a region's stages share one.
#pragma once

#include <cstring>
#include <memory>
#include <type_traits>

#include "dataflow.hpp"

namespace dovetail {
namespace hls {

template <typename T, int Depth>
class Stream final : public Channel {
  static_assert(Depth > 0, "a stream holds at least one token");
  static_assert(std::is_trivially_copyable<T>::value, "a token is plain bits");

 public:
  Stream() : tokens_(new T[Depth]) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  bool can_read() const override { return count_ > 0; }
  bool can_write() const override { return count_ < Depth; }

  T read() {
    if (count_ == 0) wait_for(*this, Access::read);
    const T token = tokens_[first_];
    drop(1);
    return token;
  }

  void write(const T& token) {
    if (count_ == Depth) wait_for(*this, Access::write);
    tokens_[next()] = token;
    ++count_;
  }

  /// The next `count` tokens, as many reads would give them.
  void read(T* tokens, int count) {
    while (count > 0) {
      if (count_ == 0) wait_for(*this, Access::read);
      const int run = least(count, count_, Depth - first_);
      std::memcpy(tokens, &tokens_[first_], static_cast<std::size_t>(run) * sizeof(T));
      drop(run);
      tokens += run;
      count -= run;
    }
  }

  /// `count` tokens, as many writes would leave them.
  void write(const T* tokens, int count) {
    while (count > 0) {
      if (count_ == Depth) wait_for(*this, Access::write);
      const int run = least(count, Depth - count_, Depth - next());
      std::memcpy(&tokens_[next()], tokens, static_cast<std::size_t>(run) * sizeof(T));
      count_ += run;
      tokens += run;
      count -= run;
    }
  }

  /// At most `Most` tokens of `count`: what a loop on the card takes in one turn.
  template <int Most>
  void read_up_to(T* tokens, int count) {
    if (count < Most || count_ < Most || first_ > Depth - Most) {
      for (int i = 0; i < count && i < Most; ++i) tokens[i] = read();
      return;
    }
    std::memcpy(tokens, &tokens_[first_], Most * sizeof(T));
    drop(Most);
  }
  template <int Most>
  void write_up_to(const T* tokens, int count) {
    if (count < Most || count_ > Depth - Most || next() > Depth - Most) {
      for (int i = 0; i < count && i < Most; ++i) write(tokens[i]);
      return;
    }
    std::memcpy(&tokens_[next()], tokens, Most * sizeof(T));
    count_ += Most;
  }

 private:
  static int least(int a, int b, int c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }
  int next() const { return first_ + count_ < Depth ? first_ + count_ : first_ + count_ - Depth; }
  void drop(int count) {
    first_ = first_ + count < Depth ? first_ + count : 0;
    count_ -= count;
  }

  std::unique_ptr<T[]> tokens_;
  int first_ = 0;  // index of the oldest token
  int count_ = 0;
};

}  // namespace hls
}  // namespace dovetail
