// What a kernel library tells the emulated card: its kernels, their registers, and how to call each
// of them.
//
// `make_xclbin adapters` writes one table of these per library; the card finds it as
// `dovetail_kernels`.
#pragma once

#include <cstdint>

namespace dovetail {
namespace card {

struct ArgumentEntry {
  const char* name;
  std::uint32_t offset;  // in the register map, bytes
  std::uint32_t bytes;
  bool is_pointer;
};

struct KernelEntry {
  const char* name;
  const ArgumentEntry* arguments;
  std::uint32_t argument_count;
  /// Calls the kernel; arguments[i] points at the value of argument i.
  void (*call)(const void* const* arguments);
};

struct KernelTable {
  const KernelEntry* kernels;
  std::uint32_t count;
};

}  // namespace card
}  // namespace dovetail

extern "C" const dovetail::card::KernelTable dovetail_kernels;
