// The function that a test's own one of the same name stands before.
#pragma once

#include <dlfcn.h>

namespace dovetail::testing {

/// The library's `name`, where a test has defined one of its own that goes on to it. The second
/// argument, the test's, says of what type it is.
template <typename Function>
Function* next_function(const char* name, Function*) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace dovetail::testing
