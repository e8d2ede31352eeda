// OpenCL status codes turned into errors. Only this folder's .cpp files include it.
#pragma once

#include <CL/cl.h>

#include <string>

#include "device/opencl/failures.hpp"
#include "support/text.hpp"

namespace dovetail::opencl {

inline const char* status_name(cl_int status) {
  switch (status) {
    case CL_DEVICE_NOT_FOUND:
      return "CL_DEVICE_NOT_FOUND";
    case CL_DEVICE_NOT_AVAILABLE:
      return "CL_DEVICE_NOT_AVAILABLE";
    case CL_COMPILER_NOT_AVAILABLE:
      return "CL_COMPILER_NOT_AVAILABLE";
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
      return "CL_MEM_OBJECT_ALLOCATION_FAILURE";
    case CL_OUT_OF_RESOURCES:
      return "CL_OUT_OF_RESOURCES";
    case CL_OUT_OF_HOST_MEMORY:
      return "CL_OUT_OF_HOST_MEMORY";
    case CL_BUILD_PROGRAM_FAILURE:
      return "CL_BUILD_PROGRAM_FAILURE";
    case CL_INVALID_VALUE:
      return "CL_INVALID_VALUE";
    case CL_INVALID_BUFFER_SIZE:
      return "CL_INVALID_BUFFER_SIZE";
    case CL_MISALIGNED_SUB_BUFFER_OFFSET:
      return "CL_MISALIGNED_SUB_BUFFER_OFFSET";
    case CL_INVALID_KERNEL_NAME:
      return "CL_INVALID_KERNEL_NAME";
    case CL_INVALID_KERNEL_ARGS:
      return "CL_INVALID_KERNEL_ARGS";
    case CL_INVALID_ARG_SIZE:
      return "CL_INVALID_ARG_SIZE";
    case CL_INVALID_WORK_GROUP_SIZE:
      return "CL_INVALID_WORK_GROUP_SIZE";
    case CL_INVALID_WORK_ITEM_SIZE:
      return "CL_INVALID_WORK_ITEM_SIZE";
    case CL_INVALID_COMMAND_QUEUE:
      return "CL_INVALID_COMMAND_QUEUE";
    case -1001:
      return "CL_PLATFORM_NOT_FOUND_KHR";
    default:
      return nullptr;
  }
}

inline const char* remedy(cl_int status) {
  switch (status) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_OUT_OF_HOST_MEMORY:
    case CL_INVALID_BUFFER_SIZE:
      return "Use a smaller batch or fewer ranks on this device";
    default:
      return "`dovetail devices` says what this host offers";
  }
}

/// Whether any command that says so lacks memory. Some drivers take memory only when it is used.
inline bool lacks_memory(cl_int status) {
  return status == CL_MEM_OBJECT_ALLOCATION_FAILURE || status == CL_OUT_OF_HOST_MEMORY;
}

/// The same of one that makes memory. Of a launch CL_OUT_OF_RESOURCES may mean registers.
inline bool allocation_lacks_memory(cl_int status) {
  return lacks_memory(status) || status == CL_OUT_OF_RESOURCES || status == CL_INVALID_BUFFER_SIZE;
}

inline std::string problem_of(cl_int status, const std::string& call) {
  const char* name = status_name(status);
  return fmt::format("OpenCL: {} failed: {}", call,
                     name ? std::string(name) : fmt::format("status {}", status));
}

/// Throws OutOfMemory where the status says so, else Error.
/// @param call what was attempted, for example "clFinish".
inline void check(cl_int status, const std::string& call) {
  if (status == CL_SUCCESS) return;
  if (lacks_memory(status)) throw OutOfMemory(problem_of(status, call), remedy(status));
  throw Error(problem_of(status, call), remedy(status));
}

/// The same of a call that makes memory.
inline void check_allocation(cl_int status, const std::string& call) {
  if (allocation_lacks_memory(status)) throw OutOfMemory(problem_of(status, call), remedy(status));
  check(status, call);
}

}  // namespace dovetail::opencl
