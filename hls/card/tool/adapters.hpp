// The C++ between the card and the kernels: one function a kernel that takes its arguments from
// registers.
#pragma once

#include <string>

#include "card/tool/description.hpp"

namespace dovetail::card {

/// C++14 source that defines `dovetail_kernels` for a family. It declares every kernel with the
/// described types: where a header in the description declares it otherwise, the source does not
/// compile.
std::string adapters(const Description& description);

}  // namespace dovetail::card
