// A checksum over a whole HDF5 file, checked before the HDF5 library sees a byte of it.
//
// The library trusts its metadata: a flipped bit there can crash it. So a sealed file begins with a
// user block (HDF5 File Format Specification, version 3, section II), which the library and h5py
// skip, and which holds "dovetail sha256 " and the digest of all that follows the block.
#pragma once

#include <cstddef>
#include <filesystem>

namespace dovetail::hdf5 {

/// Bytes of the user block: the smallest that HDF5 allows.
inline constexpr std::size_t user_block_bytes = 512;

/// Writes the digest into the user block of a finished file, made by File::create_sealable. Throws
/// Error where the file cannot be read or written.
void seal(const std::filesystem::path& path);

/// Throws Error where the file was changed since it was sealed, is shorter than a user block, or
/// begins with neither a seal nor HDF5's own signature. A file that was never sealed passes.
void expect_unchanged(const std::filesystem::path& path);

}  // namespace dovetail::hdf5
