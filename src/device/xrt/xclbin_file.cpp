// Looks at an xclbin before XRT does: XRT trusts the sizes in it and reads past the end of a file
// that was cut.
#include <cstring>
#include <fstream>
#include <vector>

#include "device/xrt/state.hpp"
#include "xclbin.h"

namespace dovetail::fpga {
namespace {

/// What is wrong with the file; empty when all of its parts are there.
std::string damage(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  axlf top{};
  in.read(reinterpret_cast<char*>(&top), sizeof top);
  if (!in || std::memcmp(top.m_magic, "xclbin2", sizeof top.m_magic) != 0) return "it is no xclbin";
  const std::uint64_t bytes = std::filesystem::file_size(path);
  if (top.m_header.m_length > bytes)
    return fmt::format("it has {} of {} bytes", bytes, top.m_header.m_length);
  if (top.m_header.m_numSections > XCLBIN_MAX_NUM_SECTION) return "its header is damaged";
  std::vector<axlf_section_header> sections(top.m_header.m_numSections);
  in.seekg(offsetof(axlf, m_sections));
  in.read(reinterpret_cast<char*>(sections.data()),
          static_cast<std::streamsize>(sections.size() * sizeof(axlf_section_header)));
  if (!in) return "its header is damaged";
  for (const axlf_section_header& section : sections) {
    if (section.m_sectionOffset > bytes ||
        section.m_sectionSize > bytes - section.m_sectionOffset) {
      return fmt::format("its section {} is cut", section.m_sectionKind);
    }
  }
  return "";
}

}  // namespace

void expect_whole_xclbin(const std::filesystem::path& path) {
  const std::string remedy =
      "Build the project for the emulated card's, or the FPGA kernels with v++ for a real card's";
  if (!std::filesystem::is_regular_file(path))
    throw Error(fmt::format("there is no xclbin {}", path.string()), remedy);
  const std::string problem = damage(path);
  if (!problem.empty())
    throw Error(fmt::format("xclbin {} is damaged: {}", path.string(), problem), remedy);
}

}  // namespace dovetail::fpga
