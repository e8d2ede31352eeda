// The numbers of family bfp, for the test of its kernels.
#pragma once

namespace dovetail {

constexpr bool family_blocks = true;
constexpr int family_widths[] = {8, 5, 4};

}  // namespace dovetail
