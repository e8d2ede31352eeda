// Reads labelled images from the file formats that data sets come in.
//
// Every file may be gzip-compressed. Each function throws Error, naming the file, where a file is
// missing, truncated, longer than its header says or not of the format, where images and labels
// differ in number, or where there are none. The labels' range is the caller's to check, except for
// CIFAR, whose classes are known.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "shards/samples.hpp"

namespace dovetail {

/// IDX (LeCun's MNIST files): images of unsigned bytes [n, h, w] or [n, c, h, w], labels of
/// unsigned bytes [n].
Samples read_idx(const std::filesystem::path& images, const std::filesystem::path& labels);

/// NumPy .npy, versions 1 to 3, C order. Images: uint8 [n, h, w], [n, c, h, w] or [n, h, w, c];
/// four extents are taken for [n, h, w, c] where the last is at most 4 and the second is more.
/// Labels: uint8, int32 or int64, little-endian, [n] or [n, 1].
Samples read_npy(const std::filesystem::path& images, const std::filesystem::path& labels);

/// CIFAR-10 or CIFAR-100 binary files (for CIFAR-100 the fine labels), joined in the order given.
/// Which of the two a file is follows from `classes` (10 or 100) or, with 0, from its size. Class
/// names are read from batches.meta.txt or fine_label_names.txt beside the first file, where there
/// is one.
Samples read_cifar(std::span<const std::filesystem::path> files, std::size_t classes = 0);

namespace source {

/// All bytes of a plain or gzip-compressed file.
std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path);

/// Throws Error unless the two have the same number of samples, and at least one.
void check_counts(std::size_t images, std::size_t labels, const std::filesystem::path& images_file,
                  const std::filesystem::path& labels_file);

/// Throws Error unless `payload` is exactly the product of the extents times the bytes of an
/// element: a header is not to be trusted with an allocation.
void check_payload(const std::vector<std::size_t>& extents, std::size_t element_bytes,
                   std::size_t payload, const std::filesystem::path& file);

}  // namespace source
}  // namespace dovetail
