// The OpenCL C of one file in kernels/, and one kernel of it, as the generated dovetail_kernels.hpp
// names them.
#pragma once

#include <string_view>

namespace dovetail::kernels {

struct Source {
  std::string_view name;
  std::string_view text;
};

struct Entry {
  const Source* source;
  const char* name;
};

}  // namespace dovetail::kernels
