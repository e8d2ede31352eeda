// The Verilog shifters that the cost model counts, under Verilator: the bits of the HLS kernels'.
#include <gtest/gtest.h>

#include <random>

#include "cost/rtl_simulation.hpp"
#include "funnel.h"
#include "line_filler.h"
#include "memory.hpp"
#include "realigner.h"
#include "sliding_window.hpp"

namespace dovetail::cost {
namespace {

using engine::Chunk;
using engine::chunk_bytes;

Chunk random_chunk(std::mt19937& random) {
  Chunk chunk;
  for (auto& byte : chunk.byte) byte = static_cast<std::uint8_t>(random());
  return chunk;
}

template <typename Port>
void drive(Port& port, const Chunk& chunk) {
  Bits bits;
  for (const std::uint8_t byte : chunk.byte) append(bits, byte, 8);
  cost::drive(port, bits);
}

template <typename Port>
std::vector<std::uint8_t> bytes_of(const Port& port) {
  std::vector<std::uint8_t> bytes(chunk_bytes);
  for (std::size_t i = 0; i < 8 * bytes.size(); ++i)
    bytes[i / 8] = static_cast<std::uint8_t>(bytes[i / 8] | bit_of(port, i) << i % 8);
  return bytes;
}

std::vector<std::uint8_t> bytes_of(const Chunk& chunk) {
  return {chunk.byte, chunk.byte + chunk_bytes};
}

TEST(RtlShifters, FunnelGivesSixteenBytesFromAnyByte) {
  std::mt19937 random(std::random_device{}());
  VerilatedContext context;
  funnel unit(&context);
  for (int at = 0; at < chunk_bytes; ++at) {
    const Chunk pair[] = {random_chunk(random), random_chunk(random), {}};
    drive(unit.first, pair[0]);
    drive(unit.second, pair[1]);
    unit.at = static_cast<CData>(at);
    unit.eval();
    ASSERT_EQ(bytes_of(unit.chunk), bytes_of(hls::chunk_at(pair, at))) << at;
  }
}

TEST(RtlShifters, RealignerTakesAPieceACycle) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  VerilatedContext context;
  realigner unit(&context);
  const auto clock = [&] {
    unit.clk = 0;
    unit.eval();
    unit.clk = 1;
    unit.eval();
  };
  unit.reset = 1;
  clock();
  unit.reset = 0;
  engine::Realigner twin;
  for (int cycle = 0; cycle < 3000; ++cycle) {
    const Chunk piece = random_chunk(random);
    const int count = static_cast<int>(random() % (chunk_bytes + 1));
    const bool ends = random() % 5 == 0;
    drive(unit.piece, piece);
    unit.count = static_cast<CData>(count);
    unit.ends = ends ? 1 : 0;
    unit.clk = 0;
    unit.eval();
    Chunk whole;
    const bool full = twin.append(piece, count, ends, whole);
    ASSERT_EQ(unit.full != 0, full) << "seed " << seed << ", cycle " << cycle;
    ASSERT_TRUE(!full || bytes_of(unit.whole) == bytes_of(whole)) << "seed " << seed;
    clock();
  }
}

TEST(RtlShifters, LineFillerMakesTheRowsOfRowReader) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  VerilatedContext context;
  line_filler unit(&context);
  static Chunk lines[engine::line_count][engine::line_chunks];
  for (int trial = 0; trial < 30; ++trial) {
    const auto between = [&](int low, int high) {
      return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    };
    const engine::WindowShape shape = {between(1, 5), between(1, 40), between(1, 40), 7, 1,
                                       between(0, 6)};
    std::vector<Chunk> image;
    engine::ChunkStream input;
    for (int c = 0; c < shape.image_chunks(); ++c) {
      image.push_back(random_chunk(random));
      input.write(image.back());
    }
    engine::RowReader reader;
    for (int row = 0; row < shape.height; ++row) {
      reader.fill(input, lines, 0, shape, row);
      const int left = shape.padding_bytes(), begin = row * shape.row_bytes() - left;
      for (int at = 0; at < shape.line_cycles(); ++at) {
        // The chunks of the image in which the line's chunk begins and ends; the first or the last
        // may not be there, where nothing is taken of it.
        const int end = begin + (at + 1) * chunk_bytes - 1;
        const int now = end < 0 ? -1 : end / chunk_bytes;
        const auto of = [&](int c) {
          return c >= 0 && c < shape.image_chunks() ? image[static_cast<std::size_t>(c)]
                                                    : random_chunk(random);
        };
        drive(unit.earlier, of(now - 1));
        drive(unit.now, of(now));
        unit.shift = static_cast<CData>((left - row * shape.row_bytes()) & (chunk_bytes - 1));
        unit.at = static_cast<SData>(at);
        unit.left = static_cast<SData>(left);
        unit.right = static_cast<SData>(left + shape.row_bytes());
        unit.eval();
        ASSERT_EQ(bytes_of(unit.chunk), bytes_of(lines[0][at])) << "seed " << seed;
      }
    }
    while (input.can_read()) input.read();
  }
}

}  // namespace
}  // namespace dovetail::cost
