// SHA-256 of bytes: the project's one checksum, for shards, weight packs, checkpoints and weights.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace dovetail {

/// SHA-256 (FIPS 180-4) over any number of pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(const void* data, std::size_t bytes);
  /// 64 lower-case hexadecimal digits. Ends the computation: no update may follow.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

template <typename T>
std::string sha256_hex(std::span<const T> values) {
  Sha256 sum;
  sum.update(values.data(), values.size_bytes());
  return sum.hex();
}

}  // namespace dovetail
