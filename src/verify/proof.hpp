// Runs every format through the twin, the OpenCL kernels and the card's kernels, and has the
// results compared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "device/xrt/card_slot.hpp"
#include "verify/ledger.hpp"

namespace dovetail::verify {

/// The sides beside the twin; null where this host has none.
struct Sides {
  opencl::Device* device = nullptr;
  fpga::CardSlot* card = nullptr;
};

struct ProofOptions {
  std::vector<std::string> inference_formats;  // of quant::pack_formats()
  std::vector<std::string> training_formats;   // as quant::training_format knows them
  std::uint64_t outputs = 1'000'000;           // at least, for every format and kernel
  std::uint64_t seed = 1;
  std::optional<std::filesystem::path> data;  // real images besides random ones
};

/// All wXaY that differ: w1a1 … w8a8, ordered by kernel family.
std::vector<std::string> inference_formats();
/// int2 … int16, fixed2 … fixed16 and bfp2 … bfp8, ordered by kernel family.
std::vector<std::string> training_formats();

/// One row a layer. Stops at the first round with a difference, which its row then holds. Without a
/// card the training formats are left out: their kernels run nowhere else. Throws Error where a
/// device fails, or there is neither of the two sides; UsageError for an unknown format.
std::vector<Row> prove(const ProofOptions& options, const Sides& sides);

}  // namespace dovetail::verify
