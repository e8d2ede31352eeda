// Reads a family's JSON file and derives what the kernels' interfaces imply: sizes and register
// offsets.
#include "card/tool/description.hpp"

#include <map>
#include <set>

#include "support/error.hpp"
#include "support/file.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace dovetail::card {
namespace {

// Vitis HLS (UG1399, s_axilite): 0x00 to 0x0f are control; each argument is followed by a reserved
// word.
constexpr std::uint32_t first_argument_offset = 0x10;
constexpr std::uint32_t register_bytes = 4;
constexpr int max_banks = 256;

// The banks of a U280; a U55C has as many, twice the size.
constexpr int default_bank_count = 32;
constexpr int default_bank_mib = 256;

std::uint32_t scalar_bytes(std::string type) {
  static const std::map<std::string, std::uint32_t> sizes = {
      {"bool", 1},     {"char", 1},    {"int8_t", 1},   {"uint8_t", 1}, {"int16_t", 2},
      {"uint16_t", 2}, {"int", 4},     {"unsigned", 4}, {"int32_t", 4}, {"uint32_t", 4},
      {"float", 4},    {"int64_t", 8}, {"uint64_t", 8}, {"double", 8}};
  if (type.rfind("std::", 0) == 0) type = type.substr(5);
  const auto found = sizes.find(type);
  if (found == sizes.end())
    throw Error(fmt::format("'{}' is no scalar type that a register holds", type));
  return found->second;
}

Argument read_argument(const Json& json, int compute_units, int bank_count) {
  Argument argument;
  argument.name = json.at("name").get<std::string>();
  argument.type = json.at("type").get<std::string>();
  argument.is_pointer = argument.type.find('*') != std::string::npos;
  if (!argument.is_pointer) {
    argument.bytes = scalar_bytes(argument.type);
    return argument;
  }
  argument.bytes = 8;
  argument.bundle = json.at("bundle").get<std::string>();
  const Json bank = json.value("bank", Json(0));
  argument.banks = bank.is_array()
                       ? bank.get<std::vector<int>>()
                       : std::vector<int>(static_cast<std::size_t>(compute_units), bank.get<int>());
  if (static_cast<int>(argument.banks.size()) != compute_units) {
    throw Error(fmt::format("argument {} names {} banks for {} compute units", argument.name,
                            argument.banks.size(), compute_units));
  }
  for (const int one : argument.banks) {
    if (one < 0 || one >= bank_count)
      throw Error(fmt::format("argument {}: there is no bank {}", argument.name, one));
  }
  return argument;
}

Kernel read_kernel(const Json& json, int bank_count) {
  Kernel kernel;
  kernel.name = json.at("name").get<std::string>();
  kernel.compute_units = json.value("compute_units", 1);
  if (kernel.compute_units < 1)
    throw Error(fmt::format("kernel {} has no compute unit", kernel.name));
  std::uint32_t offset = first_argument_offset;
  for (const Json& entry : json.at("arguments")) {
    Argument argument = read_argument(entry, kernel.compute_units, bank_count);
    argument.offset = offset;
    offset +=
        (argument.bytes + register_bytes - 1) / register_bytes * register_bytes + register_bytes;
    kernel.arguments.push_back(argument);
  }
  return kernel;
}

Description parse(const Json& json) {
  Description description;
  description.family = json.at("family").get<std::string>();
  if (json.contains("headers"))
    description.headers = json["headers"].get<std::vector<std::string>>();
  const Json memory = json.value("memory", Json::object());
  description.memory_tag = memory.value("tag", "HBM");
  description.bank_count = memory.value("banks", default_bank_count);
  description.bank_bytes = memory.value("bank_mib", std::uint64_t{default_bank_mib}) << 20;
  if (description.bank_count < 1 || description.bank_count > max_banks ||
      description.bank_bytes == 0) {
    throw Error("the memory has no banks, or more than 256");
  }
  std::set<std::string> names;
  for (const Json& entry : json.at("kernels")) {
    description.kernels.push_back(read_kernel(entry, description.bank_count));
    const std::string& name = description.kernels.back().name;
    if (!names.insert(name).second) throw Error(fmt::format("kernel {} is described twice", name));
  }
  if (names.empty()) throw Error("there is no kernel");
  return description;
}

}  // namespace

Description read_description(const std::filesystem::path& path) {
  const std::vector<unsigned char> text = read_file(path);
  try {
    return parse(Json::parse(text));
  } catch (const Json::exception& failure) {
    throw Error(fmt::format("{}: {}", path.string(), failure.what()));
  } catch (const Error& failure) {
    throw Error(fmt::format("{}: {}", path.string(), failure.what()));
  }
}

}  // namespace dovetail::card
