// Builds kernel sources for a device, or loads what was built before, and hands out their kernels.
#include <CL/cl.h>

#include <chrono>
#include <thread>

#include "device/opencl/check.hpp"
#include "device/opencl/device.hpp"
#include "device/opencl/handles.hpp"
#include "device/opencl/keep_programs.hpp"
#include "support/activity.hpp"
#include "support/checksum.hpp"
#include "support/log.hpp"

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

/// Where processes build the same program at the same time, PoCL 3.1 may fail one of them for the
/// files of its cache that another one is writing: without a word of the compiler's. (Seen with 24
/// processes and an empty cache, about one in 30.)
bool names_an_error(const std::string& log) {
  return log.find("error") != std::string::npos;
}

/// Empty where the driver gives none.
std::string binary_of(cl_program program) {
  std::size_t bytes = 0;  // of the context's one device
  if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, nullptr) !=
      CL_SUCCESS)
    return "";
  std::string binary(bytes, '\0');
  auto* target = reinterpret_cast<unsigned char*>(binary.data());
  if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof target, &target, nullptr) != CL_SUCCESS)
    return "";
  return binary;
}

bool keeps_everywhere = false;

bool keeps_programs(const DeviceInfo& device) {
  return keeps_everywhere || device.platform != "Portable Computing Language";
}

std::shared_ptr<void> own_program(cl_program program) {
  return {program, [](void* owned) { clReleaseProgram(static_cast<cl_program>(owned)); }};
}

CacheFolder::Label label_of(const DeviceInfo& device, const kernels::Source& source,
                            const std::string& options) {
  return {
      .kind = "program",
      .what = fmt::format("{} / {} / {} {}", device.platform, device.name, source.name, options),
      .version =
          fmt::format("{} {}", device.driver, sha256_hex(std::span<const char>(source.text)))};
}

}  // namespace

void keep_programs_everywhere() {
  keeps_everywhere = true;
}

Program Device::build(const kernels::Source& source, const std::vector<std::string>& definitions) {
  std::string options = "-cl-std=CL1.2 -cl-mad-enable";
  for (const std::string& definition : definitions) options += " -D" + definition;
  const std::string key = std::string(source.name) + " " + options;
  if (const auto built = handles_->programs.find(key); built != handles_->programs.end())
    return built->second;

  const activity::During during(activity::Call::build_kernels);
  Program program;
  const CacheFolder::Label label = label_of(info_, source, options);
  if (!cache_ || !load(label, options, program)) {
    compile(source, options, program);
    const std::string binary = cache_ && keeps_programs(info_)
                                   ? binary_of(static_cast<cl_program>(program.program_.get()))
                                   : "";
    if (!binary.empty()) cache_->store(label, binary);
  }
  handles_->programs.emplace(key, program);
  return program;
}

bool Device::load(const CacheFolder::Label& label, const std::string& options, Program& program) {
  const CacheFolder::Entry entry = cache_->load(label);
  if (entry.state != CacheFolder::State::sound) return false;
  const auto* binary = reinterpret_cast<const unsigned char*>(entry.bytes.data());
  const std::size_t bytes = entry.bytes.size();
  cl_int status = CL_SUCCESS, binary_status = CL_SUCCESS;
  cl_program handle = clCreateProgramWithBinary(handles_->context, 1, &handles_->device, &bytes,
                                                &binary, &binary_status, &status);
  if (status == CL_SUCCESS) {
    program.program_ = own_program(handle);
    status = clBuildProgram(handle, 1, &handles_->device, options.c_str(), nullptr, nullptr);
  }
  if (status != CL_SUCCESS) {
    log::warn(fmt::format("cache {}: {} does not take its own binary back, built anew",
                          cache_->file_of(label).string(), info_.name));
    return false;
  }
  ++builds_.loaded;
  return true;
}

void Device::compile(const kernels::Source& source, const std::string& options, Program& program) {
  constexpr int tries = 5;
  const char* text = source.text.data();
  const std::size_t length = source.text.size();
  for (int attempt = 1;; ++attempt) {
    cl_int status = CL_SUCCESS;
    cl_program handle = clCreateProgramWithSource(handles_->context, 1, &text, &length, &status);
    check(status, "clCreateProgramWithSource");
    program.program_ = own_program(handle);
    status = clBuildProgram(handle, 1, &handles_->device, options.c_str(), nullptr, nullptr);
    if (status == CL_SUCCESS) break;
    const std::string log = build_log(handle, handles_->device);
    if (attempt == tries || names_an_error(log)) {
      if (lacks_memory(status) && !names_an_error(log))
        check(status, fmt::format("building kernels/{}.cl on {}", source.name, info_.name));
      throw BuildFailure(
          fmt::format("{}: kernels/{}.cl does not build with {}; the compiler says:\n{}\n",
                      info_.name, source.name, options, log));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100 * attempt));
  }
  ++builds_.compiled;
}

Kernel Program::kernel(const kernels::Entry& entry) const {
  cl_int status = CL_SUCCESS;
  cl_kernel handle = clCreateKernel(static_cast<cl_program>(program_.get()), entry.name, &status);
  const std::string call = fmt::format("clCreateKernel({})", entry.name);
  if (lacks_memory(status)) check(status, call);
  if (status != CL_SUCCESS) throw BuildFailure(problem_of(status, call), remedy(status));
  Kernel kernel;
  kernel.kernel_ = {handle, [](void* owned) { clReleaseKernel(static_cast<cl_kernel>(owned)); }};
  kernel.name_ = entry.name;
  cl_uint arguments = 0;
  check(clGetKernelInfo(handle, CL_KERNEL_NUM_ARGS, sizeof arguments, &arguments, nullptr),
        "clGetKernelInfo");
  kernel.arguments_ = arguments;
  return kernel;
}

}  // namespace dovetail::opencl
