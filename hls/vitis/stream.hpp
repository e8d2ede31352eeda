// The same bounded stream under Vitis HLS: hls::stream with its depth, and bursts of tokens as
// pipelined loops.
#pragma once

#include <hls_stream.h>

namespace dovetail {
namespace hls {

template <typename T, int Depth>
class Stream {
 public:
  T read() { return fifo_.read(); }
  void write(const T& token) { fifo_.write(token); }

  void read(T* tokens, int count) {
    for (int i = 0; i < count; ++i) {
#pragma HLS pipeline II = 1
      tokens[i] = fifo_.read();
    }
  }

  void write(const T* tokens, int count) {
    for (int i = 0; i < count; ++i) {
#pragma HLS pipeline II = 1
      fifo_.write(tokens[i]);
    }
  }

  /// The next `count` tokens, at most `Most`. For use in pipelined loops: a number of cycles that
  /// only the run knows would keep the loop around from being pipelined (UG1399, "Working with
  /// Variable Loop Bounds").
  template <int Most>
  void read_up_to(T* tokens, int count) {
#pragma HLS inline
    for (int i = 0; i < Most; ++i) {
#pragma HLS unroll
      if (i < count) tokens[i] = fifo_.read();
    }
  }

  template <int Most>
  void write_up_to(const T* tokens, int count) {
#pragma HLS inline
    for (int i = 0; i < Most; ++i) {
#pragma HLS unroll
      if (i < count) fifo_.write(tokens[i]);
    }
  }

 private:
  ::hls::stream<T, Depth> fifo_;
};

}  // namespace hls
}  // namespace dovetail
