// Fields written one after another into a string of bytes, and read back with checks.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "support/checksum.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");

[[noreturn]] inline void damaged(const std::string& how) {
  throw Error(fmt::format("a weight pack is damaged: {}", how),
              "It must arrive as it was sent; start the job again");
}

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
  explicit ByteReader(std::span<const std::uint8_t> bytes)
      : bytes_(bytes.data()), left_(bytes.size()) {}

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
    if (count > left_) damaged("it ends too early");
    const std::uint8_t* from = bytes_;
    bytes_ += count;
    left_ -= count;
    return from;
  }

  const std::uint8_t* bytes_;
  std::size_t left_;
};

/// A pack ends with the SHA-256 of all before it, in hexadecimal digits.
inline constexpr std::size_t checksum_digits = 64;

/// Appends the checksum.
inline void seal(std::vector<std::uint8_t>& bytes) {
  const std::string sum = sha256_hex(std::span<const std::uint8_t>(bytes));
  bytes.insert(bytes.end(), sum.begin(), sum.end());
}

/// What lies before the checksum. Throws Error where that does not match.
inline std::span<const std::uint8_t> sealed_content(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < checksum_digits) damaged("it is shorter than its checksum");
  const auto content = bytes.first(bytes.size() - checksum_digits);
  const auto digits = bytes.last(checksum_digits);
  if (sha256_hex(content) != std::string(digits.begin(), digits.end()))
    damaged("its SHA-256 does not match");
  return content;
}

}  // namespace dovetail::quant
