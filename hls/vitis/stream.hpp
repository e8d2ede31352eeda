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

 private:
  ::hls::stream<T, Depth> fifo_;
};

}  // namespace hls
}  // namespace dovetail
