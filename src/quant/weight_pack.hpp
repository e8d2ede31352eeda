// All parameters of a network in one number format, packed as the FPGA kernels read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quant/network.hpp"

namespace dovetail::quant {

/// Bytes that travel between ranks and into files: header, layer table and blobs, closed by a
/// SHA-256. Two packs of the same network shape and format have the same size.
struct WeightPack {
  std::uint64_t version = 0;  // optimiser steps done when the weights were taken
  std::vector<std::uint8_t> bytes;
};

/// The formats that pack() knows.
const std::vector<std::string>& pack_formats();

/// Quantises a calibrated network. `format` is "int8" (symmetric, per-channel weight scales,
/// per-tensor activation scales). Throws Error where a layer cannot be expressed, UsageError for an
/// unknown format.
WeightPack pack(const Network& network, const std::string& format, std::uint64_t version);

}  // namespace dovetail::quant
