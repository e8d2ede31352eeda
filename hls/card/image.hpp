// A loaded xclbin: the banks, the compute units and their connections, and the kernels' code.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "card/kernel_entry.hpp"
#include "card/memory.hpp"
#include "xclbin.h"

namespace dovetail::card {

/// The shared object from the BITSTREAM section, loaded from memory: no file is left behind,
/// whatever happens.
class KernelLibrary {
 public:
  explicit KernelLibrary(const char* elf, std::size_t bytes);
  ~KernelLibrary();
  KernelLibrary(const KernelLibrary&) = delete;
  KernelLibrary& operator=(const KernelLibrary&) = delete;

  /// Null where the library has no such kernel.
  const KernelEntry* kernel(const std::string& name) const;

 private:
  void* library_ = nullptr;
  const KernelTable* table_ = nullptr;
};

struct ComputeUnit {
  std::string name;  // "vadd:vadd_1"
  const KernelEntry* kernel = nullptr;
  std::set<std::pair<int, int>> connected;  // argument, bank
};

class Image {
 public:
  /// Throws Refusal where the file is not one that make_xclbin wrote.
  explicit Image(const axlf* xclbin);

  const std::vector<Bank>& banks() const { return banks_; }
  /// In the order of their base addresses, which is the order of the bits in a command's masks.
  const std::vector<ComputeUnit>& units() const { return units_; }

 private:
  KernelLibrary library_;
  std::vector<Bank> banks_;
  std::vector<ComputeUnit> units_;
};

}  // namespace dovetail::card
