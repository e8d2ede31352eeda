// Failures of an OpenCL device that callers tell apart: a smaller batch helps against the one,
// another kernel against the other.
#pragma once

#include "support/error.hpp"

namespace dovetail::opencl {

/// There is no room: in the device's memory, or in the host's for the device.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// The driver does not take a kernel's source.
class BuildFailure : public Error {
 public:
  using Error::Error;
};

}  // namespace dovetail::opencl
