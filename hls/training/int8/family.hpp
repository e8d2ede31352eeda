// Family int8 of the training kernels: integers of 2 to 8 bits in int8, summed in int32.
//
// Real scales (int8, int6, int4) and powers of two (fixed8) differ on the host alone.
#pragma once

#include "training/integer_family.hpp"

namespace dovetail {
namespace training {

struct Family : IntegerFamily<std::int8_t, std::int16_t, std::int32_t> {};

static_assert(std::int64_t{max_positions} * 127 * 127 <= INT32_MAX, "a weight gradient fits");
static_assert(std::int64_t{max_vector_words} * simd * 127 * 127 <= INT32_MAX, "a product fits");

}  // namespace training
}  // namespace dovetail
