// The two compilations of numbers_kernel.cpp.
#pragma once

#include <cstdint>

constexpr int numbers_kernel_max = 64;
constexpr int numbers_kernel_outputs = 8;
constexpr std::uint32_t numbers_kernel_seed = 11;

extern "C" {
/// count ≤ numbers_kernel_max products of int8 x and int4 w; numbers_kernel_outputs results.
void numbers_on_host(const std::int8_t* x, const std::int8_t* w, int count, std::int32_t* out);
void numbers_on_vitis(const std::int8_t* x, const std::int8_t* w, int count, std::int32_t* out);
}
