// A number format by name: what the weights and the activations of a network are stored and
// multiplied in.
//
// Host only (C++20): options, packs and reports speak of formats through this header. The
// arithmetic itself stands in this room's C++14 headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dovetail::numeric {

enum class ElementKind {
  floating,      // sign, exponent, mantissa: float32 down to e2m1
  block_float,   // two's complement mantissas under one shared 8-bit exponent
  microscaling,  // OCP MX: floating or int8 elements under one shared E8M0 scale
  fixed,         // two's complement with a binary point
  integer,       // integer steps of a real scale
  ternary,       // −1, 0, +1 times a real scale
  binary,        // −1, +1 times a real scale
};

/// The numbers of one tensor. Members that a kind has no use for are zero.
struct ElementFormat {
  ElementKind kind = ElementKind::floating;
  int bits = 32;          // of one element, without its share of a block's scale; tf32: 19
  int exponent_bits = 0;  // floating elements; mxint8 has none
  int mantissa_bits = 0;  // floating elements, without the hidden one
  int block = 0;          // elements that share an 8-bit scale; 0: no such scale
  bool is_signed = true;
  /// Of fixed elements, with the sign; absent: the point is chosen per tensor.
  std::optional<int> integer_bits = std::nullopt;
  std::int32_t lowest = 0, highest = 0;  // codes of an integer, ternary, binary or fixed element

  friend bool operator==(const ElementFormat&, const ElementFormat&) = default;
};

/// Bits that one element takes in memory, with its share of a block's scale: mxfp4 takes 4.25.
double stored_bits(const ElementFormat& element);

/// `weights` also stands for every tensor of a format that isn't behind a ReLU: gradients, inputs.
struct Format {
  std::string name;  // as parse_format takes it
  ElementFormat weights;
  ElementFormat activations;

  /// Equal numbers, whatever they are called: int8 is w8a8.
  friend bool operator==(const Format& a, const Format& b) {
    return a.weights == b.weights && a.activations == b.activations;
  }
};

/// The format of a name:
///   float32, tf32, bfloat16, float16, e4m3, e5m2;
///   mxfp8 (e4m3 elements), mxfp8_e5m2, mxfp6_e2m3, mxfp6_e3m2, mxfp4, mxint8 (OCP MX, blocks of
///   32);
///   bfpK, K = 2…16 (blocks of 16);
///   fixedW, W = 2…32 (point chosen per tensor), and fixedW.I with I = 0…W integer bits;
///   intK, K = 2…16: weights in ±(2^(K−1) − 1), [−2, 1] for K = 2; activations unsigned K bits for
///   K < 8, else as int8 signed;
///   wXaY, X in {1, t, 2, 4, 8}, Y in {1, 2, 4, 8}: int2, int4 and int8 are w2a2, w4a4 and w8a8.
/// Throws UsageError, listing the known ones.
Format parse_format(std::string_view name);

/// The same; nothing for an unknown name.
std::optional<Format> find_format(std::string_view name);

/// Patterns of all names, for help texts: "float32, …, bfpK (K = 2…16), …".
std::string known_formats();

/// Every name, those of the families written out, fixedW.I left out: for tests and tables.
std::vector<std::string> format_names();

}  // namespace dovetail::numeric
