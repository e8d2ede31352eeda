// Reads labelled images from the file formats that data sets come in.
//
// Every file may be gzip-compressed. Each function throws Error, naming the file, where a file is
// missing, truncated, longer than its header says or not of the format, where images and labels
// differ in number, or where there are none. The labels' range is the caller's to check, except for
// CIFAR, whose classes are known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
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

/// The bytes of a plain or gzip-compressed file, the first `most` of them.
std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path,
                                     std::size_t most = std::numeric_limits<std::size_t>::max());

/// The values behind a header of `header_bytes`. Throws Error unless they are exactly the product
/// of the extents times the bytes of an element. Memory follows neither a header that says more
/// than there is nor a compressed file that holds more than its header says.
std::vector<std::uint8_t> read_values(const std::filesystem::path& path, std::size_t header_bytes,
                                      const std::vector<std::size_t>& extents,
                                      std::size_t element_bytes);

/// Throws Error unless the two have the same number of samples, and at least one.
void check_counts(std::size_t images, std::size_t labels, const std::filesystem::path& images_file,
                  const std::filesystem::path& labels_file);

}  // namespace source
}  // namespace dovetail
