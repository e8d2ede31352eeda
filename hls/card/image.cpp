// Reads the sections of an xclbin (structures: XRT's xclbin.h) and loads its kernels.
#include "card/image.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "card/refusal.hpp"

namespace dovetail::card {
namespace {

struct Section {
  const char* data;
  std::size_t bytes;
};

Section section_of(const axlf* xclbin, axlf_section_kind kind, const char* name) {
  const axlf_section_header* header = ::xclbin::get_axlf_section(xclbin, kind);
  if (header == nullptr)
    throw Refusal(EINVAL, std::string("the xclbin has no ") + name + " section");
  const std::uint64_t bytes = xclbin->m_header.m_length;
  if (header->m_sectionOffset > bytes || header->m_sectionSize > bytes - header->m_sectionOffset) {
    throw Refusal(EINVAL, std::string("the xclbin is shorter than its ") + name + " section");
  }
  return {reinterpret_cast<const char*>(xclbin) + header->m_sectionOffset, header->m_sectionSize};
}

/// The entries of a section that starts with their count; `first` is where the first one stands.
template <typename Entry>
std::vector<Entry> entries(const Section& section, std::size_t first, const char* name) {
  std::int32_t count = 0;
  if (section.bytes >= sizeof count) std::memcpy(&count, section.data, sizeof count);
  if (count < 0 || first + static_cast<std::size_t>(count) * sizeof(Entry) > section.bytes) {
    throw Refusal(EINVAL, std::string("the xclbin's ") + name + " section is damaged");
  }
  std::vector<Entry> result(static_cast<std::size_t>(count));
  if (count > 0) std::memcpy(result.data(), section.data + first, result.size() * sizeof(Entry));
  return result;
}

template <typename Character, std::size_t size>
std::string text_of(const Character (&field)[size]) {
  const char* start = reinterpret_cast<const char*>(field);
  return {start, ::strnlen(start, size)};
}

std::vector<Bank> read_banks(const axlf* xclbin) {
  const Section section = section_of(xclbin, MEM_TOPOLOGY, "MEM_TOPOLOGY");
  std::vector<Bank> banks;
  for (const mem_data& memory :
       entries<mem_data>(section, offsetof(mem_topology, m_mem_data), "MEM_TOPOLOGY")) {
    banks.push_back(
        {text_of(memory.m_tag), memory.m_base_address, memory.m_size * 1024, memory.m_used != 0});
  }
  return banks;
}

std::vector<ComputeUnit> read_units(const axlf* xclbin, const KernelLibrary& library) {
  const Section layout = section_of(xclbin, IP_LAYOUT, "IP_LAYOUT");
  std::vector<ComputeUnit> units;
  for (const ip_data& ip : entries<ip_data>(layout, offsetof(ip_layout, m_ip_data), "IP_LAYOUT")) {
    ComputeUnit unit;
    unit.name = text_of(ip.m_name);
    const std::string kernel = unit.name.substr(0, unit.name.find(':'));
    unit.kernel = library.kernel(kernel);
    if (unit.kernel == nullptr)
      throw Refusal(EINVAL, "the xclbin lists kernel " + kernel + " but has no code for it");
    units.push_back(unit);
  }
  const Section wires = section_of(xclbin, CONNECTIVITY, "CONNECTIVITY");
  for (const connection& wire :
       entries<connection>(wires, offsetof(connectivity, m_connection), "CONNECTIVITY")) {
    const auto unit = static_cast<std::size_t>(wire.m_ip_layout_index);
    if (unit >= units.size())
      throw Refusal(EINVAL, "the xclbin connects a compute unit that it does not have");
    units[unit].connected.emplace(wire.arg_index, wire.mem_data_index);
  }
  return units;
}

KernelLibrary load_library(const axlf* xclbin) {
  const Section bitstream = section_of(xclbin, BITSTREAM, "BITSTREAM");
  if (bitstream.bytes < 4 || std::memcmp(bitstream.data, "\177ELF", 4) != 0) {
    throw Refusal(EINVAL,
                  "the xclbin was built for a real card: the emulated one runs *.emulated.xclbin");
  }
  return KernelLibrary(bitstream.data, bitstream.bytes);
}

/// The loader knows libraries by their paths, and one that is closed may stay loaded: while a
/// kernel hangs in it, or a thread that ran it has not ended yet. Its file's number is soon another
/// file's, so each load spells the path in its own way: `/` and `/.` are the digits of a count.
std::string path_never_used_before(int file) {
  static std::atomic<std::uint64_t> loads{0};
  std::string path = "/proc/self/fd";
  for (std::uint64_t rest = ++loads; rest > 0; rest /= 2) path += rest % 2 == 1 ? "/." : "/";
  return path + "/" + std::to_string(file);
}

}  // namespace

KernelLibrary::KernelLibrary(const char* elf, std::size_t bytes) {
  const int file = ::memfd_create("kernels", MFD_CLOEXEC);
  std::size_t written = 0;
  while (file >= 0 && written < bytes) {
    const ssize_t step = ::write(file, elf + written, bytes - written);
    if (step <= 0) break;
    written += static_cast<std::size_t>(step);
  }
  const bool whole = file >= 0 && written == bytes;
  if (whole) library_ = ::dlopen(path_never_used_before(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* const reason = whole ? ::dlerror() : "no memory for them";
  if (file >= 0) ::close(file);
  if (library_ == nullptr) {
    throw Refusal(EINVAL,
                  std::string("cannot load the kernels: ") + (reason != nullptr ? reason : "?"));
  }
  table_ = static_cast<const KernelTable*>(::dlsym(library_, "dovetail_kernels"));
}

KernelLibrary::~KernelLibrary() {
  ::dlclose(library_);
}

const KernelEntry* KernelLibrary::kernel(const std::string& name) const {
  for (std::uint32_t i = 0; table_ != nullptr && i < table_->count; ++i) {
    if (name == table_->kernels[i].name) return &table_->kernels[i];
  }
  return nullptr;
}

Image::Image(const axlf* xclbin)
    : library_(load_library(xclbin)),
      banks_(read_banks(xclbin)),
      units_(read_units(xclbin, library_)) {}

}  // namespace dovetail::card
