// Orders follow numeric/training_layout.hpp.
#include "infer/training_outputs.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "numeric/shared_exponent.hpp"
#include "numeric/training_layout.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail::infer {
namespace {

std::vector<std::uint8_t> read_back(fpga::Buffer& buffer, const TrainingOutputs::Stored& map) {
  std::vector<std::uint8_t> bytes(extent(map.images) * map.bytes);
  buffer.read(bytes.data(), bytes.size());
  return bytes;
}

/// Calls visit(image's first byte, channel, pixel) in canonical order: every `step`-th channel.
template <typename Visit>
void each(const TrainingOutputs::Stored& map, int step, Visit visit) {
  for (int n = 0; n < map.images; ++n) {
    for (int c = 0; c < map.channels; c += step) {
      for (int p = 0; p < map.pixels; ++p) visit(extent(n) * map.bytes, c, p);
    }
  }
}

/// Throws unless holds(image's first byte, channel, pixel) for every channel that fills the words
/// of a pixel up. Weights are 0 there, so that no product would show what is wrong.
template <typename Holds>
void expect_filler(const std::string& kernel, const std::string& layer,
                   const TrainingOutputs::Stored& map, Holds holds) {
  for (int n = 0; n < map.images; ++n) {
    for (int p = 0; p < map.pixels; ++p) {
      for (int c = map.channels; c < map.words * training::simd; ++c) {
        if (holds(extent(n) * map.bytes, c, p)) continue;
        throw Error(fmt::format("layer {}: {} left something on the card in channel {}, which only "
                                "fills up the {} of the map",
                                layer, kernel, c, map.channels),
                    "The card or its kernels compute wrongly");
      }
    }
  }
}

/// Where a word begins within its image; a burst holds as many as fit whole.
std::size_t word_offset(std::size_t word, std::size_t word_bytes) {
  const std::size_t per_burst = training::burst_bytes / word_bytes;
  return word / per_burst * training::burst_bytes + word % per_burst * word_bytes;
}

/// Throws unless all words are zero that fill an image's last burst up behind those of the map.
void expect_rest(const std::string& kernel, const std::string& layer,
                 const TrainingOutputs::Stored& map, const std::vector<std::uint8_t>& bytes,
                 std::size_t word_bytes) {
  const std::size_t words =
      map.bytes / training::burst_bytes * (training::burst_bytes / word_bytes);
  for (int n = 0; n < map.images; ++n) {
    for (std::size_t w = extent(map.pixels * map.words); w < words; ++w) {
      const std::uint8_t* word = &bytes[extent(n) * map.bytes + word_offset(w, word_bytes)];
      if (std::all_of(word, word + word_bytes, [](std::uint8_t byte) { return byte == 0; }))
        continue;
      throw Error(fmt::format("layer {}: {} left something on the card behind image {} of the map",
                              layer, kernel, n),
                  "The card or its kernels compute wrongly");
    }
  }
}

}  // namespace

void TrainingOutputs::codes(const std::string& kernel, const std::string& layer,
                            const quant::TrainingFormat& format, fpga::Buffer& buffer,
                            const Stored& map) const {
  if (!observer_) return;
  const std::vector<std::uint8_t> bytes = read_back(buffer, map);
  const std::size_t element = format.family == "fixed16" ? 2 : 1;
  const std::size_t exponent_at = element * training::simd;
  const std::size_t word_bytes = exponent_at + (format.blocks ? 1 : 0);
  const auto word = [&](std::size_t image, int c, int p) {
    return image + word_offset(extent(p * map.words + c / training::simd), word_bytes);
  };
  const auto code_at = [&](std::size_t image, int c, int p) {
    const std::uint8_t* at = &bytes[word(image, c, p) + extent(c % training::simd) * element];
    std::int16_t code = static_cast<std::int8_t>(*at);
    if (element == 2) std::memcpy(&code, at, sizeof code);
    return code;
  };
  LayerOutput codes{kernel, layer, false, {}};
  each(map, 1,
       [&](std::size_t image, int c, int p) { codes.values.push_back(code_at(image, c, p)); });
  expect_filler(kernel, layer, map,
                [&](std::size_t image, int c, int p) { return code_at(image, c, p) == 0; });
  expect_rest(kernel, layer, map, bytes, word_bytes);
  observer_(std::move(codes));
  if (!format.blocks) return;
  const auto exponent_of = [&](std::size_t image, int c, int p) {
    return static_cast<std::int8_t>(bytes[word(image, c, p) + exponent_at]);
  };
  LayerOutput exponents{kernel, layer + " exponents", false, {}};
  each(map, training::simd, [&](std::size_t image, int c, int p) {
    exponents.values.push_back(exponent_of(image, c, p));
  });
  const std::int32_t of_zeros = numeric::exponent_for(0.0F, format.bits);
  expect_filler(kernel, layer, map, [&](std::size_t image, int c, int p) {
    const bool own_block = c / training::simd * training::simd < map.channels;
    return own_block || exponent_of(image, c, p) == of_zeros;
  });
  observer_(std::move(exponents));
}

void TrainingOutputs::reals(const std::string& kernel, const std::string& layer,
                            fpga::Buffer& buffer, const Stored& map) const {
  if (!observer_) return;
  const std::vector<std::uint8_t> bytes = read_back(buffer, map);
  const auto bits_at = [&](std::size_t image, int c, int p) {
    std::int32_t bits = 0;
    std::memcpy(&bits, &bytes[image + extent(p * map.words * training::simd + c) * sizeof bits],
                sizeof bits);
    return bits;
  };
  LayerOutput output{kernel, layer, true, {}};
  each(map, 1,
       [&](std::size_t image, int c, int p) { output.values.push_back(bits_at(image, c, p)); });
  expect_filler(kernel, layer, map,
                [&](std::size_t image, int c, int p) { return bits_at(image, c, p) == 0; });
  observer_(std::move(output));
}

void TrainingOutputs::routes(const std::string& kernel, const std::string& layer,
                             fpga::Buffer& buffer, const Stored& map) const {
  if (!observer_) return;
  const std::vector<std::uint8_t> bytes = read_back(buffer, map);
  const auto route_at = [&](std::size_t image, int c, int p) {
    return static_cast<std::int8_t>(bytes[image + extent(p * map.words * training::simd + c)]);
  };
  LayerOutput output{kernel, layer + " routes", false, {}};
  each(map, 1,
       [&](std::size_t image, int c, int p) { output.values.push_back(route_at(image, c, p)); });
  // The first of a window of zeros, unless a ReLU stops it.
  expect_filler(kernel, layer, map, [&](std::size_t image, int c, int p) {
    const std::int8_t route = route_at(image, c, p);
    return route == 0 || route == training::route_stopped;
  });
  expect_rest(kernel, layer, map, bytes, training::simd);
  observer_(std::move(output));
}

void TrainingOutputs::codes(const std::string& kernel, const std::string& layer, bool blocks,
                            const reference::CodeMaps& maps) const {
  if (!observer_) return;
  LayerOutput codes{kernel, layer, false, {}};
  for (const reference::TrainingCode& code : maps.values) codes.values.push_back(code.code);
  observer_(std::move(codes));
  if (!blocks) return;
  LayerOutput exponents{kernel, layer + " exponents", false, {}};
  for (int n = 0; n < maps.a; ++n) {
    for (int c = 0; c < maps.b; c += training::simd) {
      for (int p = 0; p < maps.c * maps.d; ++p)
        exponents.values.push_back(maps.at(n, c, p / maps.d, p % maps.d).exponent);
    }
  }
  observer_(std::move(exponents));
}

void TrainingOutputs::routes(const std::string& kernel, const std::string& layer,
                             const reference::Array4<int>& routes) const {
  if (observer_)
    observer_({kernel, layer + " routes", false, {routes.values.begin(), routes.values.end()}});
}

void TrainingOutputs::reals(const std::string& kernel, const std::string& layer,
                            const std::vector<float>& values) const {
  if (!observer_) return;
  LayerOutput output{kernel, layer, true, {}};
  for (const float value : values) output.values.push_back(std::bit_cast<std::int32_t>(value));
  observer_(std::move(output));
}

}  // namespace dovetail::infer
