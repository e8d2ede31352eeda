// Every header of numeric/ that kernels may use, through functions that are compiled as C++14.
#pragma once

#include <cstdint>

namespace dovetail {

constexpr int cxx14_numbers = 32;
constexpr int cxx14_outputs = 21;

/// cxx14_numbers numbers in each format, to stochastic rounding with this key: digests of their
/// codes, one a format.
void formats_in_cxx14(const float* numbers, std::uint32_t key, std::uint64_t* digests);
/// The same function, compiled as the rest of this program is.
void formats_as_here(const float* numbers, std::uint32_t key, std::uint64_t* digests);

}  // namespace dovetail
