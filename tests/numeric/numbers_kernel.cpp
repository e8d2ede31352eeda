// A small kernel in the words of numbers.hpp, compiled against the host's numbers and, where they
// are installed, against AMD's.
#include "numbers_kernel.hpp"

#include "numbers.hpp"

using namespace dovetail;
using hls::Fixed;
using hls::Int;
using hls::Overflow;
using hls::Quantisation;

extern "C" void NUMBERS_KERNEL(const std::int8_t* x, const std::int8_t* w, int count,
                               std::int32_t* out) {
  using Sum = Fixed<12, 6, Quantisation::nearest_even, Overflow::saturate>;
  Int<8> a[numbers_kernel_max];
  Int<4> b[numbers_kernel_max];
  Sum sum = 0;
  Fixed<9, 5, Quantisation::nearest_down, Overflow::wrap> wrapped = 0;
  Fixed<12, 8> by_chance = 0;
  const std::uint32_t key = numeric::stream_key(numbers_kernel_seed, 0);
  for (int i = 0; i < count; ++i) {
    a[i] = x[i];
    b[i] = w[i];
    const auto product = hls::from_code<Fixed<8, 3>>(a[i]) * hls::from_code<Fixed<4, 2>>(b[i]);
    sum += product;
    wrapped += product;
    const std::uint32_t random = numeric::random_bits(key, static_cast<std::uint32_t>(i));
    by_chance += hls::stochastic<Fixed<6, 4>>(product, random);
  }
  out[0] = numeric::dot<Int<14>>(a, b, count).to_int();
  out[1] = numeric::saturating_dot<Int<10>>(a, b, count).to_int();
  out[2] = hls::code_of(sum).to_int();
  out[3] = hls::code_of(wrapped).to_int();
  out[4] = numeric::saturate_symmetric<Int<5>>(a[0] - b[0]).to_int();
  out[5] = (-a[0] * 3 / 2 + (b[0] << 1)).to_int();
  out[6] = hls::Uint<6>(a[0].range(6, 1)).to_int();
  out[7] = hls::code_of(by_chance).to_int();
}
