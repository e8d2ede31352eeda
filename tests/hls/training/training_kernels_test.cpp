// Every training kernel of one family against its twin, bit for bit, on random shapes and inputs.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "numbers.hpp"
#include "ops/reference/training.hpp"
#include "support/text.hpp"
#include "training/memory.hpp"

namespace dovetail {
namespace {

using namespace training;
using reference::Array4;
using reference::CodeMaps;
using reference::RealMaps;
using reference::TrainingCode;
using reference::TrainingNumbers;
using reference::TrainingRounding;
using reference::TrainingStep;

extern "C" {
void train_forward(const WordBurst*, const SquareBurst*, const RealWord*, RealWord*, RouteBurst*,
                   RealWord*, std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                   std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                   std::int32_t, float, std::int32_t);
void train_input_gradient(const WordBurst*, const SquareBurst*, const RouteBurst*, RealWord*,
                          RealWord*, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                          std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                          std::int32_t, std::int32_t, std::int32_t, float, std::int32_t);
void train_weight_gradient(const WordBurst*, const WordBurst*, RealWord*, RealWord*, std::int32_t,
                           std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                           std::int32_t, std::int32_t, std::int32_t, std::int32_t, float, float,
                           std::int32_t, std::int32_t, std::uint32_t);
void train_quantise(const RealWord*, const RouteBurst*, WordBurst*, std::int32_t, std::int32_t,
                    std::int32_t, std::int32_t, std::int32_t, std::int32_t, float, std::int32_t,
                    std::int32_t, std::uint32_t);
void train_quantise_images(const PixelBurst*, const RealWord*, WordBurst*, std::int32_t,
                           std::int32_t, std::int32_t, std::int32_t, float, std::int32_t);
}

class TrainingKernels : public testing::Test {
 protected:
  void SetUp() override {
    seed_ = std::random_device{}();
    generator_.seed(seed_);
  }
  int between(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(generator_);
  }
  float real() {
    // Magnitudes far apart, and now and then zero.
    const int kind = between(0, 5);
    if (kind == 0) return 0;
    return std::normal_distribution<float>(0, kind == 1 ? 10.0F : 1.0F)(generator_);
  }
  RealMaps random_reals(int a, int b, int c, int d) {
    RealMaps maps(a, b, c, d);
    for (float& value : maps.values) value = real();
    return maps;
  }

  struct Shape {
    int batch, in, out, height, width, kernel, stride, padding, pool;
    TrainingNumbers numbers;
    int out_height() const { return output_extent(height, kernel, stride, padding); }
    int out_width() const { return output_extent(width, kernel, stride, padding); }
  };
  Shape random_shape() {
    Shape s{};
    s.batch = between(1, 3);
    s.in = between(1, 70);
    s.out = between(1, 70);
    s.kernel = std::vector<int>{1, 2, 3, 5, 7}[static_cast<std::size_t>(between(0, 4))];
    s.stride = between(1, 3);
    s.padding = between(0, s.kernel - 1);
    s.height = between(s.kernel, 9);
    s.width = between(s.kernel, 9);
    s.pool = between(1, std::min({3, s.out_height(), s.out_width()}));
    s.numbers = {family_blocks, family_widths[between(0, 2)]};
    return s;
  }
  /// What a failed trial looked like.
  std::string trace(const Shape& s) const {
    return fmt::format(
        "seed {}: batch {} in {} out {} map {} × {} kernel {} stride {} padding {} "
        "pool {} bits {}",
        seed_, s.batch, s.in, s.out, s.height, s.width, s.kernel, s.stride, s.padding, s.pool,
        s.numbers.bits);
  }
  float inverse(const TrainingNumbers& numbers) const {
    return static_cast<float>(numeric::largest_code(numbers.bits)) / 30.0F;
  }
  CodeMaps random_codes(const TrainingNumbers& numbers, int a, int b, int c, int d) {
    return quantise_channels(random_reals(a, b, c, d),
                             {.numbers = numbers, .inverse = inverse(numbers)}, 16);
  }

  unsigned seed_ = 0;
  std::mt19937 generator_;
};

int stored_words(int channels) {
  return output_tiles(channels) * words_per_tile;
}

template <typename T>  // Word: only some families have an exponent
void put(T& word, int lane, const TrainingCode& code) {
  word.value[lane] = static_cast<std::decay_t<decltype(word.value[0])>>(code.code);
  if constexpr (requires { word.exponent; })
    word.exponent = static_cast<std::int8_t>(code.exponent);
}

template <typename T>
TrainingCode get(const T& word, int lane) {
  TrainingCode code{word.value[lane], 0};
  if constexpr (requires { word.exponent; }) code.exponent = word.exponent;
  return code;
}

/// The word that holds a channel of a map on the card.
template <typename Memory>
auto& word_of(Memory& memory, int n, int y, int x, int word, int height, int width, int words) {
  const int bursts = bursts_for(height * width * words, words_per_burst);
  const int at = (y * width + x) * words + word;
  return memory[static_cast<std::size_t>(n * bursts + at / words_per_burst)]
      .word[at % words_per_burst];
}

std::vector<WordBurst> on_card(const CodeMaps& maps, int words) {
  std::vector<WordBurst> memory(
      static_cast<std::size_t>(maps.a * bursts_for(maps.c * maps.d * words, words_per_burst)));
  for (int n = 0; n < maps.a; ++n)
    for (int c = 0; c < maps.b; ++c)
      for (int y = 0; y < maps.c; ++y)
        for (int x = 0; x < maps.d; ++x)
          put(word_of(memory, n, y, x, c / simd, maps.c, maps.d, words), c % simd,
              maps.at(n, c, y, x));
  return memory;
}

void expect_codes(const CodeMaps& expected, const std::vector<WordBurst>& memory, int words) {
  int wrong = 0;
  for (int n = 0; n < expected.a; ++n)
    for (int c = 0; c < expected.b; ++c)
      for (int y = 0; y < expected.c; ++y)
        for (int x = 0; x < expected.d; ++x) {
          const TrainingCode got =
              get(word_of(memory, n, y, x, c / simd, expected.c, expected.d, words), c % simd);
          const TrainingCode& want = expected.at(n, c, y, x);
          wrong += got.code != want.code || got.exponent != want.exponent ? 1 : 0;
        }
  EXPECT_EQ(wrong, 0) << "of " << expected.values.size();
}

std::vector<RealWord> on_card(const RealMaps& maps, int words) {
  std::vector<RealWord> memory(static_cast<std::size_t>(maps.a * maps.c * maps.d * words));
  for (int n = 0; n < maps.a; ++n)
    for (int c = 0; c < maps.b; ++c)
      for (int y = 0; y < maps.c; ++y)
        for (int x = 0; x < maps.d; ++x)
          memory[static_cast<std::size_t>(((n * maps.c + y) * maps.d + x) * words + c / simd)]
              .value[c % simd] = maps.at(n, c, y, x);
  return memory;
}

RealMaps from_card(const std::vector<RealWord>& memory, int a, int b, int c, int d, int words) {
  RealMaps maps(a, b, c, d);
  for (int n = 0; n < a; ++n)
    for (int k = 0; k < b; ++k)
      for (int y = 0; y < c; ++y)
        for (int x = 0; x < d; ++x)
          maps.at(n, k, y, x) =
              memory[static_cast<std::size_t>(((n * c + y) * d + x) * words + k / simd)]
                  .value[k % simd];
  return maps;
}

std::int8_t& route_of(std::vector<RouteBurst>& memory, int n, int y, int x, int c, int height,
                      int width, int tiles) {
  const int bursts = bursts_for(height * width * tiles, route_tiles_per_burst);
  const int at = (y * width + x) * tiles + c / pe;
  return memory[static_cast<std::size_t>(n * bursts + at / route_tiles_per_burst)]
      .tile[at % route_tiles_per_burst]
      .value[c % pe];
}

std::vector<RouteBurst> on_card(const Array4<int>& routes) {
  const int tiles = output_tiles(routes.b);
  std::vector<RouteBurst> memory(static_cast<std::size_t>(
      routes.a * bursts_for(routes.c * routes.d * tiles, route_tiles_per_burst)));
  for (int n = 0; n < routes.a; ++n)
    for (int c = 0; c < routes.b; ++c)
      for (int y = 0; y < routes.c; ++y)
        for (int x = 0; x < routes.d; ++x)
          route_of(memory, n, y, x, c, routes.c, routes.d, tiles) =
              static_cast<std::int8_t>(routes.at(n, c, y, x));
  return memory;
}

std::vector<SquareBurst> weights_on_card(const CodeMaps& w, int words) {
  const int positions = w.c * w.d;
  std::vector<Square> squares(static_cast<std::size_t>(output_tiles(w.a) * positions * words));
  std::vector<SquareBurst> memory(squares.size() * Family::square_bursts);
  const auto place = [&](int square, int row, int column, const TrainingCode& code) {
    auto* bursts = &memory[static_cast<std::size_t>(square * Family::square_bursts)];
    constexpr int per_burst = sizeof(SquareBurst) / sizeof(SquareBurst::value[0]);
    const int at = row * pe + column;
    using Element = std::decay_t<decltype(bursts[0].value[0])>;
    bursts[at / per_burst].value[at % per_burst] = static_cast<Element>(code.code);
    if (family_blocks)
      bursts[Family::square_bursts - 1].value[column] = static_cast<Element>(code.exponent);
  };
  for (int o = 0; o < w.a; ++o)
    for (int c = 0; c < w.b; ++c)
      for (int p = 0; p < positions; ++p)
        place((o / pe * positions + p) * words + c / simd, c % simd, o % pe,
              w.at(o, c, p / w.d, p % w.d));
  return memory;
}

TEST_F(TrainingKernels, ForwardEqualsItsTwin) {
  for (int trial = 0; trial < 60; ++trial) {
    const Shape s = random_shape();
    SCOPED_TRACE(trace(s));
    const bool relu = between(0, 1) == 1;
    const CodeMaps x = random_codes(s.numbers, s.batch, s.in, s.height, s.width);
    const CodeMaps w = random_codes(s.numbers, s.out, s.in, s.kernel, s.kernel);
    std::vector<float> bias;
    for (int o = 0; o < s.out; ++o) bias.push_back(real());
    const float scale = family_blocks ? 1.0F : 0.013F;
    const auto expected = training_activation(
        training_forward(x, w, bias, {s.stride, s.padding, s.numbers}, scale), s.pool, relu);

    const int words = channel_words(s.in), tiles = output_tiles(s.out);
    const int pooled = expected.real.c * expected.real.d;
    std::vector<RealWord> y(static_cast<std::size_t>(s.batch * pooled * tiles * words_per_tile));
    std::vector<RouteBurst> routes(
        static_cast<std::size_t>(s.batch * bursts_for(pooled * tiles, route_tiles_per_burst)));
    std::vector<RealWord> b = on_card(
        [&] {
          RealMaps maps(1, s.out, 1, 1);
          maps.values = bias;
          return maps;
        }(),
        tiles * words_per_tile);
    std::vector<RealWord> largest(3);
    const auto xs = on_card(x, words);
    const auto ws = weights_on_card(w, words);
    const int half = s.batch / 2;  // as two compute units share a batch
    for (const auto& [first, count] : {std::pair{0, half}, std::pair{half, s.batch - half}}) {
      if (count == 0) continue;
      train_forward(xs.data(), ws.data(), b.data(), y.data(), routes.data(), largest.data(), first,
                    count, s.height, s.width, words, tiles, s.kernel, s.stride, s.padding, s.pool,
                    relu, scale, first == 0 ? 0 : 2);
    }
    EXPECT_EQ(from_card(y, s.batch, s.out, expected.real.c, expected.real.d, tiles * words_per_tile)
                  .values,
              expected.real.values);
    int wrong = 0;
    for (int n = 0; n < s.batch; ++n)
      for (int o = 0; o < s.out; ++o)
        for (int p = 0; p < pooled; ++p) {
          const int row = p / expected.real.d, column = p % expected.real.d;
          wrong += route_of(routes, n, row, column, o, expected.real.c, expected.real.d, tiles) !=
                   expected.routes.at(n, o, row, column);
        }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(std::max(largest[0].value[0], largest[2].value[0]), largest_magnitude(expected.real));
    if (HasFailure()) return;
  }
}

TEST_F(TrainingKernels, InputGradientEqualsItsTwin) {
  for (int trial = 0; trial < 60; ++trial) {
    const Shape s = random_shape();
    SCOPED_TRACE(trace(s));
    const CodeMaps dy = random_codes(s.numbers, s.batch, s.out, s.out_height(), s.out_width());
    const CodeMaps w = random_codes(s.numbers, s.out, s.in, s.kernel, s.kernel);
    Array4<int> routes(s.batch, s.in, s.height, s.width);
    for (int& route : routes.values) route = between(-1, 3);
    const float scale = family_blocks ? 1.0F : 0.013F;
    RealMaps expected =
        training_input_gradient(dy, w, {s.stride, s.padding, s.numbers}, s.height, s.width, scale);
    mask_stopped(routes, expected);

    const int words = stored_words(s.in), tiles = output_tiles(s.out);
    std::vector<RealWord> dx(static_cast<std::size_t>(s.batch * s.height * s.width * words));
    std::vector<RealWord> largest(1);
    train_input_gradient(on_card(dy, stored_words(s.out)).data(), weights_on_card(w, words).data(),
                         on_card(routes).data(), dx.data(), largest.data(), 0, s.batch,
                         s.out_height(), s.out_width(), tiles, s.height, s.width, words, s.kernel,
                         s.stride, s.padding, s.numbers.bits, scale, 0);
    EXPECT_EQ(from_card(dx, s.batch, s.in, s.height, s.width, words).values, expected.values);
    EXPECT_EQ(largest[0].value[0], largest_magnitude(expected));
    if (HasFailure()) return;
  }
}

TEST_F(TrainingKernels, WeightGradientEqualsItsTwin) {
  for (int trial = 0; trial < 60; ++trial) {
    const Shape s = random_shape();
    SCOPED_TRACE(trace(s));
    const CodeMaps x = random_codes(s.numbers, s.batch, s.in, s.height, s.width);
    const CodeMaps dy = random_codes(s.numbers, s.batch, s.out, s.out_height(), s.out_width());
    const float scale = family_blocks ? 1.0F : 0.013F, bias_scale = family_blocks ? 1.0F : 0.2F;
    const bool stochastic = between(0, 1) == 1;
    const auto key = static_cast<std::uint32_t>(generator_());
    const auto expected = training_weight_gradient(
        x, dy, {s.stride, s.padding, s.numbers}, s.kernel, s.kernel, scale, bias_scale,
        {.numbers = s.numbers, .stochastic = stochastic, .key = key}, stored_words(s.out) * simd);

    const int words = channel_words(s.in), tiles = output_tiles(s.out);
    const int rows = s.kernel * s.kernel * words * simd;
    std::vector<RealWord> dw(static_cast<std::size_t>(tiles * rows * words_per_tile));
    std::vector<RealWord> db(static_cast<std::size_t>(tiles * words_per_tile));
    const auto xs = on_card(x, words);
    const auto dys = on_card(dy, stored_words(s.out));
    for (int t = 0; t < tiles; ++t) {  // as several compute units share the outputs
      train_weight_gradient(xs.data(), dys.data(), dw.data(), db.data(), s.batch, s.height, s.width,
                            words, t, 1, tiles, s.kernel, s.stride, s.padding, scale, bias_scale,
                            s.numbers.bits, stochastic, key);
    }
    int wrong = 0;
    for (int o = 0; o < s.out; ++o) {
      for (int c = 0; c < s.in; ++c)
        for (int p = 0; p < s.kernel * s.kernel; ++p) {
          const int row = (o / pe * s.kernel * s.kernel + p) * words * simd + c;
          const float got =
              dw[static_cast<std::size_t>(row * words_per_tile + o % pe / simd)].value[o % simd];
          wrong += got != expected.weight.at(o, c, p / s.kernel, p % s.kernel);
        }
      EXPECT_EQ(db[static_cast<std::size_t>(o / simd)].value[o % simd],
                expected.bias[static_cast<std::size_t>(o)]);
    }
    EXPECT_EQ(wrong, 0) << "of " << expected.weight.values.size();
    if (HasFailure()) return;
  }
}

TEST_F(TrainingKernels, QuantiseEqualsItsTwin) {
  for (int trial = 0; trial < 60; ++trial) {
    const Shape s = random_shape();
    SCOPED_TRACE(trace(s));
    const bool routed = between(0, 1) == 1;
    const int pool = routed ? s.pool : 1;
    const int height = s.out_height(), width = s.out_width();
    const RealMaps reals = random_reals(s.batch, s.out, height / pool, width / pool);
    Array4<int> routes(reals.a, reals.b, reals.c, reals.d);
    for (int& route : routes.values) route = between(-1, pool * pool - 1);
    const TrainingRounding rounding{.numbers = s.numbers,
                                    .inverse = inverse(s.numbers),
                                    .stochastic = between(0, 1) == 1,
                                    .key = static_cast<std::uint32_t>(generator_())};
    const int words = stored_words(s.out);
    const CodeMaps expected = quantise_channels(
        routed ? unpool(reals, routes, pool, height, width) : reals, rounding, words * simd);
    std::vector<WordBurst> codes(
        static_cast<std::size_t>(s.batch * bursts_for(height * width * words, words_per_burst)));
    train_quantise(on_card(reals, words).data(), on_card(routes).data(), codes.data(), s.batch,
                   height, width, words, pool, routed, rounding.inverse, s.numbers.bits,
                   rounding.stochastic, rounding.key);
    expect_codes(expected, codes, words);
    if (HasFailure()) return;
  }
}

TEST_F(TrainingKernels, QuantisedImagesEqualTheirTwin) {
  for (int trial = 0; trial < 20; ++trial) {
    const int batch = between(1, 3), channels = between(1, 4), height = between(1, 9),
              width = between(1, 9), plane = height * width;
    const TrainingNumbers numbers{family_blocks, family_widths[between(0, 2)]};
    SCOPED_TRACE(fmt::format("seed {} channels {} of {} × {}", seed_, channels, height, width));
    std::vector<RealWord> tables(static_cast<std::size_t>(channels * 256 / simd));
    for (RealWord& word : tables)
      for (float& value : word.value) value = real();
    const int bursts = divide_up(channels * plane, burst_bytes);
    std::vector<PixelBurst> images(static_cast<std::size_t>(batch * bursts));
    RealMaps maps(batch, channels, height, width), vectors(batch, channels * plane, 1, 1);
    for (int n = 0; n < batch; ++n)
      for (int i = 0; i < channels * plane; ++i) {
        const int pixel = between(0, 255);
        images[static_cast<std::size_t>(n * bursts + i / burst_bytes)].byte[i % burst_bytes] =
            static_cast<std::uint8_t>(pixel);
        const float value = tables[static_cast<std::size_t>(i / plane * 256 / simd + pixel / simd)]
                                .value[pixel % simd];
        maps.at(n, i / plane, i % plane / width, i % width) = value;
        vectors.at(n, i, 0, 0) = value;
      }
    const TrainingRounding rounding{.numbers = numbers, .inverse = inverse(numbers)};
    for (const RealMaps& shape : {maps, vectors}) {
      const int words = channel_words(shape.b), positions = shape.c * shape.d;
      std::vector<WordBurst> codes(
          static_cast<std::size_t>(batch * bursts_for(positions * words, words_per_burst)));
      train_quantise_images(images.data(), tables.data(), codes.data(), batch, positions, shape.b,
                            plane, rounding.inverse, numbers.bits);
      expect_codes(quantise_channels(shape, rounding, words * simd), codes, words);
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace dovetail
