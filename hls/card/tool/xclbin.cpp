// Builds the sections of an xclbin and puts them together (structures: XRT's xclbin.h).
#include "card/tool/xclbin.hpp"

#include <cstring>
#include <span>

#include "card/tool/metadata.hpp"
#include "support/checksum.hpp"
#include "support/text.hpp"
#include "xclbin.h"

namespace dovetail::card {
namespace {

constexpr std::uint64_t first_bank_address = std::uint64_t{1} << 38;  // no buffer is at address 0

struct Section {
  axlf_section_kind kind;
  std::string name;
  std::string data;
};

template <typename T>
void append(std::string& data, const T& value) {
  data.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// The count of a section's entries, then padding up to where its first entry stands.
std::string counted(std::size_t count, std::size_t first) {
  std::string data;
  append(data, static_cast<std::int32_t>(count));
  data.resize(first, '\0');
  return data;
}

template <typename Character, std::size_t size>
void set_text(Character (&field)[size], const std::string& text) {
  std::memcpy(field, text.data(), std::min(text.size(), size - 1));
}

bool is_used(const Description& description, int bank) {
  for (const Kernel& kernel : description.kernels) {
    for (const Argument& argument : kernel.arguments) {
      for (const int one : argument.banks) {
        if (one == bank) return true;
      }
    }
  }
  return false;
}

std::string topology(const Description& description) {
  std::string data =
      counted(static_cast<std::size_t>(description.bank_count), offsetof(mem_topology, m_mem_data));
  for (int bank = 0; bank < description.bank_count; ++bank) {
    mem_data entry{};
    entry.m_type = description.memory_tag == "HBM" ? MEM_HBM : MEM_DDR4;
    entry.m_used = is_used(description, bank);
    entry.m_size = description.bank_bytes / 1024;
    entry.m_base_address =
        first_bank_address + static_cast<std::uint64_t>(bank) * description.bank_bytes;
    set_text(entry.m_tag, fmt::format("{}[{}]", description.memory_tag, bank));
    append(data, entry);
  }
  return data;
}

std::string layout(const std::vector<Instance>& instances) {
  std::string data = counted(instances.size(), offsetof(ip_layout, m_ip_data));
  for (const Instance& instance : instances) {
    ip_data entry{};
    entry.m_type = IP_KERNEL;
    entry.properties = IP_INT_ENABLE_MASK | (AP_CTRL_CHAIN << IP_CONTROL_SHIFT);
    entry.m_base_address = instance.base;
    set_text(entry.m_name, instance.kernel->name + ":" + instance.name);
    append(data, entry);
  }
  return data;
}

std::string connections(const std::vector<Instance>& instances) {
  std::string wires;
  std::size_t count = 0;
  for (std::size_t ip = 0; ip < instances.size(); ++ip) {
    const std::vector<Argument>& arguments = instances[ip].kernel->arguments;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (!arguments[i].is_pointer) continue;
      append(wires, connection{static_cast<std::int32_t>(i), static_cast<std::int32_t>(ip),
                               arguments[i].banks[static_cast<std::size_t>(instances[ip].number)]});
      ++count;
    }
  }
  return counted(count, offsetof(connectivity, m_connection)) + wires;
}

std::string uuid_of(const std::vector<Section>& sections) {
  Sha256 sum;
  for (const Section& section : sections) sum.update(section.data.data(), section.data.size());
  const std::string hex = sum.hex();
  std::string uuid;
  for (std::size_t i = 0; i < sizeof(xuid_t); ++i) {
    uuid.push_back(static_cast<char>(std::stoi(hex.substr(2 * i, 2), nullptr, 16)));
  }
  return uuid;
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + 7) / 8 * 8;
}

}  // namespace

std::string xclbin(const Description& description, const std::string& shared_object) {
  const std::vector<Instance> instances = instances_of(description);
  const std::string memory = topology(description);
  const std::string wires = connections(instances);
  const std::vector<Section> sections = {{BITSTREAM, "kernels", shared_object},
                                         {EMBEDDED_METADATA, "metadata", metadata(description)},
                                         {MEM_TOPOLOGY, "memory", memory},
                                         {IP_LAYOUT, "layout", layout(instances)},
                                         {CONNECTIVITY, "connectivity", wires},
                                         {ASK_GROUP_TOPOLOGY, "groups", memory},
                                         {ASK_GROUP_CONNECTIVITY, "groups", wires}};
  std::vector<axlf_section_header> headers;
  std::string body;
  // axlf holds the first section header itself.
  const std::size_t start =
      aligned(sizeof(axlf) + (sections.size() - 1) * sizeof(axlf_section_header));
  for (const Section& section : sections) {
    axlf_section_header header{};
    header.m_sectionKind = section.kind;
    set_text(header.m_sectionName, section.name);
    header.m_sectionOffset = start + body.size();
    header.m_sectionSize = section.data.size();
    headers.push_back(header);
    body += section.data;
    body.resize(aligned(body.size()), '\0');
  }
  axlf file{};
  std::memcpy(file.m_magic, "xclbin2", sizeof file.m_magic);
  file.m_signature_length = -1;  // unsigned
  std::memset(file.reserved, 0xff, sizeof file.reserved);
  file.m_header.m_length = start + body.size();
  file.m_header.m_versionMajor = 2;
  file.m_header.m_mode = XCLBIN_PR;
  set_text(file.m_header.m_platformVBNV, "dovetail_emulated_card");
  std::memcpy(file.m_header.uuid, uuid_of(sections).data(), sizeof file.m_header.uuid);
  file.m_header.m_numSections = static_cast<std::uint32_t>(sections.size());

  std::string result(reinterpret_cast<const char*>(&file), offsetof(axlf, m_sections));
  for (const axlf_section_header& header : headers) append(result, header);
  result.resize(start, '\0');
  return result + body;
}

}  // namespace dovetail::card
