// Inputs of the targets that read sources of data sets: one or two files in one input, plain or
// compressed.
#pragma once

#include <functional>
#include <utility>

#include "fuzz/target.hpp"
#include "shards/samples.hpp"

namespace dovetail::fuzz {

/// Two files in one input: four bytes, little-endian, say how long the first one is.
Bytes joined(const Bytes& first, const Bytes& second);

using Input = std::span<const std::uint8_t>;
std::pair<Input, Input> parted(Input both);

/// As gzip writes it.
Bytes compressed(const Bytes& bytes);

Bytes pixels(std::size_t count);

/// Runs `action`. Where it throws Error, a person is told one line of bearable length, whatever
/// bytes the file holds, or this is a fault.
void in_a_line(const std::function<void()>& action);

/// What is taken has an image of its shape for every label, or this is a fault.
void expect_whole(const Samples& samples);

}  // namespace dovetail::fuzz
