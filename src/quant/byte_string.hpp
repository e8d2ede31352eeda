// Fields written one after another into a string of bytes, and read back with checks.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");

class ByteWriter {
 public:
  template <typename T>
  void value(const T& v) {
    values(&v, 1);
  }
  template <typename T>
  void values(const T* first, std::size_t count) {
    const std::size_t end = bytes_.size();
    bytes_.resize(end + count * sizeof(T));
    if (count > 0) std::memcpy(bytes_.data() + end, first, count * sizeof(T));
  }
  /// Padded with zeros to `field` bytes; throws Error for a text that does not fit.
  void text(const std::string& text, std::size_t field) {
    if (text.size() >= field)
      throw Error(fmt::format("the name {} is longer than {} characters", text, field - 1));
    std::vector<char> padded(field, '\0');
    std::copy(text.begin(), text.end(), padded.begin());
    values(padded.data(), field);
  }
  std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

/// Throws Error when asked for more than is left.
class ByteReader {
 public:
  ByteReader(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), left_(size) {}

  template <typename T>
  T value() {
    T v;
    std::memcpy(&v, take(sizeof v), sizeof v);
    return v;
  }
  template <typename T>
  std::vector<T> values(std::size_t count) {
    if (count > left_ / sizeof(T)) take(left_ + 1);
    std::vector<T> result(count);
    const std::uint8_t* from = take(count * sizeof(T));
    if (count > 0) std::memcpy(result.data(), from, count * sizeof(T));
    return result;
  }
  std::string text(std::size_t field) {
    const std::vector<char> padded = values<char>(field);
    return std::string(padded.begin(), std::find(padded.begin(), padded.end(), '\0'));
  }
  bool at_end() const { return left_ == 0; }

 private:
  const std::uint8_t* take(std::size_t count) {
    if (count > left_) {
      throw Error("a weight pack is damaged: it ends too early",
                  "It must arrive as it was sent; start the job again");
    }
    const std::uint8_t* from = bytes_;
    bytes_ += count;
    left_ -= count;
    return from;
  }

  const std::uint8_t* bytes_;
  std::size_t left_;
};

}  // namespace dovetail::quant
