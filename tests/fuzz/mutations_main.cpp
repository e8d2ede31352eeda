// A target without libFuzzer: the real files, then random changes of them: NAME INPUTS [SEED]. The
// last input lies in NAME.input until the program ends well.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "fuzz/target.hpp"
#include "support/clock.hpp"

namespace {

using dovetail::fuzz::Bytes;
using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) {
  return limit == 0 ? 0 : static_cast<std::size_t>(random() % limit);
}

/// Flips, numbers that programs trip over, pieces cut out, repeated, moved or taken from another
/// file.
void change(Bytes& bytes, const Bytes& other, Random& random) {
  const std::size_t at = below(random, bytes.size());
  const std::size_t length = std::min(bytes.size() - at, std::size_t{1} << below(random, 10));
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  const auto end = begin + static_cast<std::ptrdiff_t>(length);
  switch (below(random, 7)) {
    case 0:
      if (!bytes.empty()) bytes[at] ^= static_cast<std::uint8_t>(1u << below(random, 8));
      break;
    case 1:
      if (!bytes.empty()) bytes[at] = static_cast<std::uint8_t>(random());
      break;
    case 2: {
      constexpr std::uint64_t numbers[] = {0,          1,          0x7f,       0x80,
                                           0xffff,     0x7fffffff, 0x80000000, 0xffffffff,
                                           1ull << 32, 1ull << 62, ~0ull,      ~0ull >> 1};
      const std::uint64_t number = numbers[below(random, std::size(numbers))];
      const std::size_t width = std::min(std::size_t{1} << below(random, 4), bytes.size() - at);
      for (std::size_t i = 0; i < width; ++i)
        bytes[at + i] = static_cast<std::uint8_t>(number >> (8 * i));
      break;
    }
    case 3:
      bytes.erase(begin, end);
      break;
    case 4: {
      const Bytes piece(begin, end);
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(random, bytes.size())),
                   piece.begin(), piece.end());
      break;
    }
    case 5:
      bytes.resize(at);
      break;
    default: {
      const std::size_t from = below(random, other.size());
      const std::size_t count = std::min(length, other.size() - from);
      std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(from), count, begin);
    }
  }
}

}  // namespace

int main(int count, char** words) {
  const std::size_t inputs = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1000;
  Random random(count > 2 ? std::strtoull(words[2], nullptr, 10) : 1);
  const std::vector<Bytes> files = dovetail::fuzz::seeds();
  for (const Bytes& file : files) dovetail::fuzz::read(file);  // what is whole is not refused
  const dovetail::Stopwatch watch;
  for (std::size_t i = 0; i < inputs; ++i) {
    Bytes bytes = files[below(random, files.size())];
    for (std::size_t changes = 1 + below(random, 4); changes > 0; --changes)
      change(bytes, files[below(random, files.size())], random);
    dovetail::fuzz::read_one(bytes);
  }
  std::printf("%zu inputs, %.0f a second\n", inputs, static_cast<double>(inputs) / watch.seconds());
}
