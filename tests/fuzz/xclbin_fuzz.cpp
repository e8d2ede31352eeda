// xclbins: the look before XRT opens one, and what the emulated card reads of it. The kernels in it
// are always the real ones: running others is what an xclbin is for.
#include <algorithm>
#include <cstring>
#include <memory>

#include "card/image.hpp"
#include "card/refusal.hpp"
#include "device/xrt/state.hpp"
#include "fuzz/target.hpp"
#include "support/error.hpp"
#include "support/file.hpp"

namespace dovetail::fuzz {
namespace {

const Bytes& real_file() {
  static const Bytes bytes = read_file(DOVETAIL_FUZZ_XCLBIN);
  return bytes;
}

/// The place of the code, or nothing where the headers are damaged.
std::span<std::uint8_t> code_in(Bytes& bytes) {
  axlf top{};
  if (bytes.size() < sizeof top) return {};
  std::memcpy(&top, bytes.data(), sizeof top);
  for (std::uint64_t i = 0; i < top.m_header.m_numSections; ++i) {
    const std::uint64_t at = offsetof(axlf, m_sections) + i * sizeof(axlf_section_header);
    axlf_section_header section{};
    if (at > bytes.size() - sizeof section) return {};
    std::memcpy(&section, bytes.data() + at, sizeof section);
    if (section.m_sectionKind != BITSTREAM) continue;
    if (section.m_sectionOffset > bytes.size() ||
        section.m_sectionSize > bytes.size() - section.m_sectionOffset) {
      return {};
    }
    return {bytes.data() + section.m_sectionOffset, section.m_sectionSize};
  }
  return {};
}

/// Puts the real code where the headers say that code is, or spoils what stands there.
void mend_code(Bytes& bytes) {
  Bytes whole = real_file();
  const std::span<std::uint8_t> real = code_in(whole), code = code_in(bytes);
  if (code.size() == real.size()) {
    std::copy(real.begin(), real.end(), code.begin());
  } else {
    std::fill_n(code.begin(), std::min<std::size_t>(code.size(), 4), 0);
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  return {real_file()};
}

void read(std::span<const std::uint8_t> input) {
  Bytes bytes(input.begin(), input.end());
  mend_code(bytes);
  fpga::expect_whole_xclbin(write("fuzz.xclbin", bytes));
  try {
    // As XRT hands it over: aligned, of the length that its header says.
    const auto aligned = std::make_unique<std::uint64_t[]>(bytes.size() / 8 + 1);
    std::memcpy(aligned.get(), bytes.data(), bytes.size());
    const card::Image image(reinterpret_cast<const axlf*>(aligned.get()));
  } catch (const card::Refusal&) {
    throw Error("the card refuses it");
  }
}

}  // namespace dovetail::fuzz
