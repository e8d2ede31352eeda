// A kernel family as its JSON file describes it: kernels, compute units, arguments, banks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dovetail::card {

struct Argument {
  std::string name;
  std::string type;        // as the kernel declares it: "const std::int8_t*", "std::int32_t"
  std::string bundle;      // AXI bundle of a pointer; empty for a scalar
  std::vector<int> banks;  // of a pointer, one a compute unit
  bool is_pointer = false;
  std::uint32_t bytes = 0;
  std::uint32_t offset = 0;  // in the register map
};

struct Kernel {
  std::string name;
  int compute_units = 1;
  std::vector<Argument> arguments;
};

struct Description {
  std::string family;
  std::vector<std::string>
      headers;             // that declare the kernels or their types, relative to hls/ or src/
  std::string memory_tag;  // "HBM"
  int bank_count = 0;
  std::uint64_t bank_bytes = 0;
  std::vector<Kernel> kernels;
};

/// Reads and checks a description. Throws Error naming the file and the entry.
Description read_description(const std::filesystem::path& path);

}  // namespace dovetail::card
