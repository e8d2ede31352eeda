// How a checkpoint lies in its HDF5 file: the names of attributes and tensors, and their shapes.
#pragma once

#include <filesystem>
#include <string>

#include "train/checkpoint.hpp"

namespace dovetail {

/// Writes a file that is yet to be sealed, with that checksum of its content. Throws Error.
void write_layout(const std::filesystem::path& path, const Checkpoint& checkpoint,
                  const std::string& content_sha256);

struct StoredCheckpoint {
  Checkpoint checkpoint;
  std::string content_sha256;  // as the file says
};

/// Reads a file whose seal holds. Throws Error for whatever is wrong with it, without its name.
StoredCheckpoint read_layout(const std::filesystem::path& path);

}  // namespace dovetail
