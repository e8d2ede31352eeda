// All learned parameters in one piece of device memory, and the way between their two layouts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.hpp"
#include "tensor/layout.hpp"

namespace dovetail::plan {

/// Where one parameter lies in the arena. `device_index[i]` is the place, within the slot, of
/// element i of the canonical layout (PyTorch's and ONNX's). Places that no element maps to are
/// padding lanes: always zero.
struct Slot {
  ParameterSpec spec;
  std::size_t offset = 0;    // in floats from the arena's start
  std::size_t elements = 0;  // in floats, padding included
  std::vector<std::uint32_t> device_index;
};

/// [out, in, k, k] → [k, k, in, out padded to channel_lanes].
std::vector<std::uint32_t> conv_weight_index(int out, int in, int kernel);
/// [out, channels · height · width] → [in's image_stride, out padded]: the rows follow the feature
/// map's layout.
std::vector<std::uint32_t> dense_weight_index(int out, const Layout& in);
/// [n] → [n padded].
std::vector<std::uint32_t> vector_index(int count);

/// Lays slots out one after the other, each start aligned so that it can be a device buffer of its
/// own.
class Arena {
 public:
  explicit Arena(std::size_t alignment_bytes) : alignment_(alignment_bytes / sizeof(float)) {}

  /// @param elements floats that the slot takes, padding included.
  const Slot& add(ParameterSpec spec, std::size_t elements,
                  std::vector<std::uint32_t> device_index);
  /// Reserves aligned room without a parameter; returns its offset in floats.
  std::size_t reserve(std::size_t elements);

  const std::vector<Slot>& slots() const { return slots_; }
  std::size_t elements() const { return elements_; }

  /// Canonical values → an image of the arena. Throws Error when names or shapes are not those of
  /// the slots.
  std::vector<float> scatter(const std::vector<Parameter>& canonical) const;
  /// An image of the arena → canonical values.
  std::vector<Parameter> gather(std::span<const float> image) const;

 private:
  std::size_t alignment_;
  std::size_t elements_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace dovetail::plan
