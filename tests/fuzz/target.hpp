// What a fuzz target defines: real files to begin with, and how the program reads one. Two mains
// run it: libfuzzer_main.cpp (clang) and mutations_main.cpp (any compiler, in ctest).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace dovetail::fuzz {

using Bytes = std::vector<std::uint8_t>;

/// Files as the program itself writes them.
std::vector<Bytes> seeds();

/// Reads `input` as the program reads such a file. May throw Error, which is how damage is refused;
/// anything else that is thrown is a fault, as is a crash, a hang or a leak.
void read(std::span<const std::uint8_t> input);

/// Where the target's files may lie; the same folder in each call.
const std::filesystem::path& folder();

/// Replaces the file `name` in folder() and returns its path.
std::filesystem::path write(const std::string& name, std::span<const std::uint8_t> bytes);

/// read(), with Error caught.
void read_one(std::span<const std::uint8_t> input);

}  // namespace dovetail::fuzz
