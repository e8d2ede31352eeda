// Stands in for AMD's hls_stream.h, with as much of its interface as hls/vitis uses (UG1399, "HLS
// Stream Library"). As in Vitis' C simulation a stream has no bound; reading an empty one throws.
// What is left in one when its kernel ends, which Vitis warns of and a card hangs on, ends the
// test.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <stdexcept>

namespace hls {

template <typename T, int Depth = 0>
class stream {
 public:
  stream() = default;
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() {
    if (tokens_.empty()) return;
    std::fprintf(stderr, "%zu tokens are left in an hls::stream\n", tokens_.size());
    std::abort();
  }

  void write(const T& token) { tokens_.push_back(token); }
  T read() {
    if (tokens_.empty()) throw std::runtime_error("an empty hls::stream is read");
    const T token = tokens_.front();
    tokens_.pop_front();
    return token;
  }

 private:
  std::deque<T> tokens_;
};

}  // namespace hls
