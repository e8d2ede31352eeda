// Builds kernel sources for a device and hands out their kernels.
#include <CL/cl.h>

#include "device/opencl/check.hpp"
#include "device/opencl/device.hpp"
#include "device/opencl/handles.hpp"

namespace dovetail::opencl {
namespace {

std::string build_log(cl_program program, cl_device_id device) {
  std::size_t bytes = 0;
  if (clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &bytes) !=
      CL_SUCCESS)
    return "";
  std::string text(bytes, '\0');
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, bytes, text.data(), nullptr);
  while (!text.empty() && (text.back() == '\0' || text.back() == '\n')) text.pop_back();
  return text;
}

}  // namespace

Program Device::build(const kernels::Source& source, const std::vector<std::string>& definitions) {
  std::string options = "-cl-std=CL1.2 -cl-mad-enable";
  for (const std::string& definition : definitions) options += " -D" + definition;
  const std::string key = std::string(source.name) + " " + options;
  if (const auto built = handles_->programs.find(key); built != handles_->programs.end())
    return built->second;

  const char* text = source.text.data();
  const std::size_t length = source.text.size();
  cl_int status = CL_SUCCESS;
  cl_program handle = clCreateProgramWithSource(handles_->context, 1, &text, &length, &status);
  check(status, "clCreateProgramWithSource");
  Program program;
  program.program_ = {handle,
                      [](void* owned) { clReleaseProgram(static_cast<cl_program>(owned)); }};
  status = clBuildProgram(handle, 1, &handles_->device, options.c_str(), nullptr, nullptr);
  if (status != CL_SUCCESS) {
    throw Error(fmt::format("{}: kernels/{}.cl does not build with {}; the compiler says:\n{}\n",
                            info_.name, source.name, options, build_log(handle, handles_->device)));
  }
  handles_->programs.emplace(key, program);
  return program;
}

Kernel Program::kernel(const kernels::Entry& entry) const {
  cl_int status = CL_SUCCESS;
  cl_kernel handle = clCreateKernel(static_cast<cl_program>(program_.get()), entry.name, &status);
  check(status, fmt::format("clCreateKernel({})", entry.name));
  Kernel kernel;
  kernel.kernel_ = {handle, [](void* owned) { clReleaseKernel(static_cast<cl_kernel>(owned)); }};
  kernel.name_ = entry.name;
  return kernel;
}

}  // namespace dovetail::opencl
