// Follows the declarations of hls/training.
#include "cost/cycles.hpp"
#include "cost/memories.hpp"
#include "numeric/training_layout.hpp"

namespace dovetail::cost {
namespace {

constexpr std::int64_t float_bits = 32;
constexpr std::int64_t lines_kept = 8;  // line_count of hls/training/window.hpp
constexpr std::int64_t halves = 2;      // of a ping-pong buffer between stages within a loop
constexpr std::int64_t word_stream = 1024, real_stream = 256, tile_stream = 128, route_stream = 256,
                       square_stream = 4, pixel_stream = 16;  // hls/training/memory.hpp

std::int64_t max_row_channels() {
  return std::int64_t{training::max_row_words} * training::simd;
}
std::int64_t real_word(Folding f) {
  return float_bits * f.simd;
}
std::int64_t real_tile(Folding f) {
  return float_bits * f.pe;
}

Memory training_stream(const char* type, std::int64_t depth, std::int64_t width,
                       std::int64_t count = 1) {
  return {.source = "training/memory.hpp",
          .variable = type,
          .depth = depth,
          .width = width,
          .copies = count};
}

}  // namespace

std::vector<Memory> forward_memories(const TrainingFamily& family, Folding f) {
  const std::int64_t word = family.word_bits(f), square = family.square_bits(f);
  const std::int64_t squares =
      std::int64_t{training::max_forward_words} * training::simd * training::pe;
  const std::int64_t vector = std::int64_t{training::max_vector_words} * training::simd;
  // A word as the multipliers take it: elements of twice their bits.
  const std::int64_t operand =
      std::int64_t{f.simd} * 2 * family.element_bits + family.operand_exponent_bits;
  const std::int64_t slots = divide_up(max_row_channels(), f.pe);
  const std::int64_t max_tiles = divide_up(std::int64_t{training::max_tiles} * training::pe, f.pe);
  return {{.source = "training/window.hpp",
           .variable = "lines",
           .depth = lines_kept * divide_up(max_row_channels(), f.simd),
           .width = word,
           .storage = Storage::uram},
          {.source = "training/matrix_vector.hpp",
           .variable = "kept",
           .depth = divide_up(squares, std::int64_t{f.pe} * f.simd),
           .width = square,
           .storage = Storage::uram},
          {.source = "training/matrix_vector.hpp",
           .variable = "vector",
           .depth = divide_up(vector, f.simd),
           .width = operand,
           .copies = halves},
          {.source = "training/activation.hpp",
           .variable = "bias",
           .depth = max_tiles,
           .width = real_tile(f)},
          {.source = "training/activation.hpp",
           .variable = "best",
           .depth = slots,
           .width = real_tile(f)},
          {.source = "training/activation.hpp",
           .variable = "route",
           .depth = slots,
           .width = std::int64_t{8} * f.pe},
          training_stream("WordStream", word_stream, word, 2),
          training_stream("SquareStream", square_stream, square),
          training_stream("TileStream", tile_stream, real_tile(f), 3),
          training_stream("RouteStream", route_stream, std::int64_t{8} * f.pe),
          training_stream("RealStream", real_stream, real_word(f))};
}

std::vector<Memory> quantise_memories(const TrainingFamily& family, Folding f) {
  return {{.source = "training/train_quantise.cpp",
           .variable = "values",
           .depth = divide_up(max_row_channels(), f.simd),
           .width = real_word(f)},
          {.source = "training/train_quantise.cpp",
           .variable = "kept_routes",
           .depth = divide_up(max_row_channels(), f.pe),
           .width = std::int64_t{8} * f.pe},
          training_stream("RealStream", real_stream, real_word(f)),
          training_stream("RouteStream", route_stream, std::int64_t{8} * f.pe),
          training_stream("WordStream", word_stream, family.word_bits(f))};
}

std::vector<Memory> quantise_images_memories(const TrainingFamily& family, Folding f) {
  constexpr std::int64_t pixel_burst = std::int64_t{training::burst_bytes} * 8;
  return {{.source = "training/train_quantise_images.cpp",
           .variable = "tables",
           .depth = training::max_input_channels * divide_up(256, f.simd),
           .width = real_word(f)},
          {.source = "training/train_quantise_images.cpp",
           .variable = "image",
           .depth = training::max_image_bytes / training::burst_bytes,
           .width = pixel_burst},
          training_stream("PixelStream", pixel_stream, pixel_burst),
          training_stream("RealStream", real_stream, real_word(f)),
          training_stream("WordStream", word_stream, family.word_bits(f))};
}

}  // namespace dovetail::cost
