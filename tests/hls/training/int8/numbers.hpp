// The numbers of family int8, for the test of its kernels.
#pragma once

namespace dovetail {

constexpr bool family_blocks = false;
constexpr int family_widths[] = {8, 6, 4};

}  // namespace dovetail
