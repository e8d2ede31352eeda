// What may become of a training image on its way into the network.
#pragma once

#include <string>

#include "support/text.hpp"

namespace dovetail {

/// Drawn anew for every sample of every epoch, by Philox4x32-10 keyed by the seed with the counter
/// (number of the sample within the training in 64 bits, 0, 2³² − 1): so what becomes of a sample
/// depends neither on the rank that holds it nor on its place in the batch. With words w0 … w3:
///
/// - crop: pixel (y, x) comes from (y + dy, x + dx), each shift ⌊w · (2 crop + 1) / 2³²⌋ − crop of
///   w0 and w1; black lies around the image. (As a crop out of the image padded by `crop`.)
/// - flip: columns are mirrored where w2 ≥ 2³¹.
/// - erase: a square of so many pixels is set to the data set's mean, its centre anywhere in the
///   image: row ⌊(w3 / 2¹⁶) · rows / 2¹⁶⌋, column by the low half. (DeVries and Taylor 2017.)
struct Augmentation {
  int crop = 0;  // pixels; 0: none
  bool flip = false;
  int erase = 0;  // pixels; 0: none

  bool any() const { return crop > 0 || flip || erase > 0; }
  bool operator==(const Augmentation&) const = default;
};

/// As parse_augmentation reads it: "crop=4,flip,erase=8"; "none".
std::string to_string(const Augmentation& augmentation);
/// Throws UsageError for other words, and for extents that are not 1 to 255.
Augmentation parse_augmentation(const std::string& text);

}  // namespace dovetail
