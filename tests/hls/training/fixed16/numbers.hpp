// The numbers of family fixed16, for the test of its kernels.
#pragma once

namespace dovetail {

constexpr bool family_blocks = false;
constexpr int family_widths[] = {16, 11, 9};

}  // namespace dovetail
