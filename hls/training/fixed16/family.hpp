// Family fixed16 of the training kernels: integers of 9 to 16 bits in int16, summed in 64 bits.
//
// 47 bits hold every sum that the layout's maxima allow; a DSP48 has 48.
#pragma once

#include "training/integer_family.hpp"

namespace dovetail {
namespace training {

struct Family : IntegerFamily<std::int16_t, std::int32_t, std::int64_t> {};

static_assert(max_positions <= 1 << 17 && max_vector_words * simd <= 1 << 17,
              "30 bits a product and 17 for the sum");

}  // namespace training
}  // namespace dovetail
