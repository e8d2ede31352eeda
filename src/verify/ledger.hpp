// Compares what the sides computed, bit for bit, and keeps account: outputs, hashes, and the first
// difference.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "infer/layer_output.hpp"
#include "support/checksum.hpp"

namespace dovetail::verify {

/// The first bits that differ from the twin's.
struct Difference {
  std::string side;         // "OpenCL" or "card"
  std::uint64_t index = 0;  // among the layer's outputs, over all images so far
  std::string twin, other;  // both values
};

/// What a group of outputs belongs to.
struct Subject {
  std::string purpose;  // "inference" or "training"
  std::string format;
  std::string inputs;  // "random", or the data set
  std::string network;
  bool operator==(const Subject&) const = default;
};

/// One layer's outputs in one format. Hashes are SHA-256 over the values as little-endian int32
/// (float32 as its bits) in canonical order; empty where that side was not there.
struct Row {
  Subject subject;
  std::string kernel, layer;
  std::uint64_t outputs = 0;
  std::string twin, opencl, card;
  std::optional<Difference> difference;
};

class Ledger {
 public:
  using Outputs = std::vector<infer::LayerOutput>;

  /// Adds one round. `opencl` and `card` are null where there is no such side. Throws Error where a
  /// side gave other layers, or another number of values.
  void add(const Subject& subject, const Outputs& twin, const Outputs* opencl, const Outputs* card);

  /// Outputs so far of one kernel, in all networks.
  std::uint64_t outputs(const std::string& purpose, const std::string& format,
                        const std::string& inputs, const std::string& kernel) const;
  bool differs() const { return differs_; }

  /// One row a layer, in the order in which they were first added. Ends the account.
  std::vector<Row> finish();

 private:
  struct Account {
    Row row;
    Sha256 twin, opencl, card;
    bool has_opencl = false, has_card = false;
  };
  Account& account_of(const Subject& subject, const infer::LayerOutput& output);

  std::deque<Account> accounts_;
  bool differs_ = false;
};

}  // namespace dovetail::verify
