// Writes the XML that XRT reads for kernels, ports, arguments and register offsets.
#include "card/tool/metadata.hpp"

#include <algorithm>
#include <cctype>
#include <set>

#include "support/text.hpp"

namespace dovetail::card {
namespace {

// Where v++ puts the first compute unit, and the size of its register space.
constexpr std::uint64_t first_base = 0x1400000;
constexpr std::uint64_t base_step = 0x10000;

std::string port_name(const Argument& argument) {
  if (!argument.is_pointer) return "S_AXI_CONTROL";
  std::string name = "M_AXI_" + argument.bundle;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  return name;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '&')
      result += "&amp;";
    else
      result += c;
  }
  return result;
}

std::string ports(const Kernel& kernel) {
  std::string xml =
      "<port name=\"S_AXI_CONTROL\" mode=\"slave\" range=\"0x1000\" dataWidth=\"32\" "
      "portType=\"addressable\" "
      "base=\"0x0\"/>\n";
  std::set<std::string> masters;
  for (const Argument& argument : kernel.arguments) {
    if (argument.is_pointer) masters.insert(port_name(argument));
  }
  for (const std::string& name : masters) {
    xml += fmt::format(
        "<port name=\"{}\" mode=\"master\" range=\"0xFFFFFFFFFFFFFFFF\" dataWidth=\"512\" "
        "portType=\"addressable\" base=\"0x0\"/>\n",
        name);
  }
  return xml;
}

std::string arguments(const Kernel& kernel) {
  std::string xml;
  for (std::size_t i = 0; i < kernel.arguments.size(); ++i) {
    const Argument& argument = kernel.arguments[i];
    xml += fmt::format(
        "<arg name=\"{}\" addressQualifier=\"{}\" id=\"{}\" port=\"{}\" size=\"{:#x}\" "
        "offset=\"{:#x}\" "
        "hostOffset=\"0x0\" hostSize=\"{:#x}\" type=\"{}\"/>\n",
        argument.name, argument.is_pointer ? 1 : 0, i, port_name(argument), argument.bytes,
        argument.offset, argument.bytes, escaped(argument.type));
  }
  return xml;
}

}  // namespace

std::vector<Instance> instances_of(const Description& description) {
  std::vector<Instance> instances;
  for (const Kernel& kernel : description.kernels) {
    for (int number = 0; number < kernel.compute_units; ++number) {
      instances.push_back({&kernel, number, fmt::format("{}_{}", kernel.name, number + 1),
                           first_base + instances.size() * base_step});
    }
  }
  return instances;
}

std::string metadata(const Description& description) {
  const std::vector<Instance> instances = instances_of(description);
  std::string kernels;
  for (const Kernel& kernel : description.kernels) {
    kernels += fmt::format(
        "<kernel name=\"{0}\" language=\"c\" vlnv=\"xilinx.com:hls:{0}:1.0\" workGroupSize=\"1\" "
        "interrupt=\"true\" hwControlProtocol=\"ap_ctrl_chain\">\n{1}{2}",
        kernel.name, ports(kernel), arguments(kernel));
    for (const Instance& instance : instances) {
      if (instance.kernel != &kernel) continue;
      kernels += fmt::format(
          "<instance name=\"{}\"><addrRemap base=\"{:#x}\" range=\"{:#x}\" "
          "port=\"S_AXI_CONTROL\"/></instance>\n",
          instance.name, instance.base, base_step);
    }
    kernels += "</kernel>\n";
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<project name=\"{}\">\n"
      "<platform vendor=\"dovetail\" boardid=\"emulated\" name=\"emulated_card\" "
      "featureRomTime=\"0\">\n"
      "<version major=\"1\" minor=\"0\"/>\n<device name=\"fpga0\" fpgaDevice=\"emulated\" "
      "addrWidth=\"64\">\n"
      "<core name=\"OCL_REGION_0\" target=\"bitstream\" type=\"clc_region\" clockFreq=\"0MHz\" "
      "numComputeUnits=\"{}\">\n{}</core>\n</device>\n</platform>\n</project>\n",
      description.family, instances.size(), kernels);
}

}  // namespace dovetail::card
