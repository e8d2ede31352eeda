// The barrel shifters of each include path against bytes moved one by one: hls/host, hls/vitis and,
// where the processor has it, hls/host/avx512.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "memory.hpp"

namespace dovetail::engine {
namespace {

std::vector<Chunk> random_chunks(std::mt19937& random, int count) {
  std::vector<Chunk> chunks(static_cast<std::size_t>(count));
  for (Chunk& chunk : chunks)
    for (auto& byte : chunk.byte) byte = static_cast<std::uint8_t>(random());
  return chunks;
}

std::uint8_t byte_of(const std::vector<Chunk>& line, int at) {
  return line[static_cast<std::size_t>(at / chunk_bytes)].byte[at % chunk_bytes];
}

TEST(Shifters, ReadSixteenBytesFromAnyByteOfALine) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  const std::vector<Chunk> line = random_chunks(random, 9);
  for (int at = 0; at < 8 * chunk_bytes; ++at) {
    const Chunk got = hls::chunk_at(line.data(), at);
    for (int i = 0; i < chunk_bytes; ++i)
      ASSERT_EQ(got.byte[i], byte_of(line, at + i)) << "byte " << i << " from " << at;
  }
}

TEST(Shifters, MoveAnyCountOfBytesUpByAnyNumber) {
  std::mt19937 random(std::random_device{}());
  for (int count = 0; count <= chunk_bytes; ++count) {
    for (int by = 0; by < chunk_bytes; ++by) {
      const Chunk piece = random_chunks(random, 1)[0];
      std::vector<Chunk> pair = random_chunks(random, 2);  // what it held before must not show
      hls::shift_up(piece, count, by, pair[0], pair[1]);
      for (int i = 0; i < 2 * chunk_bytes; ++i) {
        const bool taken = i >= by && i < by + count;
        ASSERT_EQ(byte_of(pair, i), taken ? piece.byte[i - by] : 0)
            << count << " bytes up by " << by << ", byte " << i;
      }
    }
  }
}

TEST(Shifters, PiecesOfAnyLengthsAreJoinedWithoutGaps) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int trial = 0; trial < 100; ++trial) {
    Realigner joined;
    std::vector<std::uint8_t> expected;
    std::vector<Chunk> got;
    Chunk whole;
    for (int pieces = static_cast<int>(random() % 40); pieces > 0; --pieces) {
      const Chunk piece = random_chunks(random, 1)[0];
      const int count = static_cast<int>(random() % (chunk_bytes + 1));
      expected.insert(expected.end(), piece.byte, piece.byte + count);
      const bool ends = pieces == 1;
      if (joined.append(piece, count, ends, whole)) got.push_back(whole);
      const std::size_t whole_ones = expected.size() / chunk_bytes;
      ASSERT_TRUE(ends || got.size() == whole_ones) << "seed " << seed;
    }
    if (joined.append(Chunk{}, 0, true, whole)) got.push_back(whole);  // the rest of a split end
    ASSERT_EQ(got.size(), static_cast<std::size_t>(chunks(static_cast<int>(expected.size()))));
    expected.resize(got.size() * chunk_bytes);  // filled up with zeros
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_EQ(byte_of(got, static_cast<int>(i)), expected[i]) << "seed " << seed;
  }
}

}  // namespace
}  // namespace dovetail::engine
