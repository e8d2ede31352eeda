// Memory, launches and waiting on one OpenCL device.
#include "device/opencl/device.hpp"

#include "device/opencl/check.hpp"
#include "device/opencl/handles.hpp"
#include "device/opencl/inventory.hpp"
#include "support/log.hpp"

namespace dovetail::opencl {

using timeline::Category;

namespace {

cl_mem memory_of(const std::shared_ptr<void>& handle) {
  return static_cast<cl_mem>(handle.get());
}

std::shared_ptr<void> own_memory(cl_mem memory) {
  return {memory, [](void* handle) { clReleaseMemObject(static_cast<cl_mem>(handle)); }};
}

void expect_inside(const Buffer& buffer, std::size_t offset, std::size_t bytes, const char* what) {
  if (offset > buffer.bytes() || bytes > buffer.bytes() - offset) {
    throw Error(fmt::format("OpenCL: {} of {} bytes at {} leaves a buffer of {} bytes", what, bytes,
                            offset, buffer.bytes()));
  }
}

template <typename T>
T query(cl_device_id device, cl_device_info key) {
  T value{};
  check(clGetDeviceInfo(device, key, sizeof value, &value, nullptr), "clGetDeviceInfo");
  return value;
}

}  // namespace

Buffer Buffer::slice(std::size_t offset, std::size_t bytes) const {
  expect_inside(*this, offset, bytes, "a slice");
  Buffer part;
  part.whole_ = whole_ ? whole_ : memory_;
  part.origin_ = origin_ + offset;
  part.bytes_ = bytes;
  const cl_buffer_region region{part.origin_, bytes};
  cl_int status = CL_SUCCESS;
  cl_mem memory =
      clCreateSubBuffer(memory_of(part.whole_), 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &status);
  check(status, "clCreateSubBuffer");
  part.memory_ = own_memory(memory);
  return part;
}

Device::Device(int index, std::shared_ptr<CacheFolder> cache) : cache_(std::move(cache)) {
  const std::vector<ListedDevice> devices = enumerate();
  if (devices.empty()) {
    throw Error("no OpenCL platform on this host",
                "Install one: the GPU's driver, or PoCL for the CPU (package pocl-opencl-icd)");
  }
  if (index < 0 || index >= static_cast<int>(devices.size())) {
    throw Error(
        fmt::format("there is no OpenCL device {}; this host has {}", index, devices.size()),
        "`dovetail devices` lists them");
  }
  const ListedDevice& listed = devices[static_cast<std::size_t>(index)];
  if (!listed.info.unusable.empty()) {
    throw Error(fmt::format("OpenCL device {} ({}) cannot be used: {}", index, listed.info.name,
                            listed.info.unusable));
  }
  info_ = listed.info;
  handles_ = std::make_unique<Handles>(listed.platform, listed.device);
  if (timeline::on()) handles_->profile.emplace(handles_->context, handles_->queue, "OpenCL queue");
  alignment_ = query<cl_uint>(listed.device, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
}

Device::~Device() = default;

Buffer Device::allocate(std::size_t bytes) {
  cl_int status = CL_SUCCESS;
  cl_mem memory = clCreateBuffer(handles_->context, CL_MEM_READ_WRITE, bytes, nullptr, &status);
  if (bytes > 0 && allocation_lacks_memory(status)) {
    throw OutOfMemory(
        fmt::format("{}: cannot allocate {}", info_.name, format_bytes(static_cast<double>(bytes))),
        "Use a smaller batch");
  }
  check(status, "clCreateBuffer");
  Buffer buffer;
  buffer.memory_ = own_memory(memory);
  buffer.bytes_ = bytes;
  return buffer;
}

void Device::reserve(Buffer& buffer, std::size_t bytes) {
  if (buffer.bytes() < bytes) buffer = allocate(bytes);
}

Buffer Device::allocate_zeroed(std::size_t bytes) {
  Buffer buffer = allocate(bytes);
  fill_zero(buffer);
  return buffer;
}

void Device::write(const Buffer& buffer, const void* source, std::size_t bytes,
                   std::size_t offset) {
  enqueue_write(buffer, source, bytes, offset, true);
}

void Device::write_later(const Buffer& buffer, const void* source, std::size_t bytes,
                         std::size_t offset) {
  enqueue_write(buffer, source, bytes, offset, false);
}

void Device::enqueue_write(const Buffer& buffer, const void* source, std::size_t bytes,
                           std::size_t offset, bool wait) {
  expect_inside(buffer, offset, bytes, "a write");
  if (bytes == 0) return;
  check(clEnqueueWriteBuffer(handles_->queue, memory_of(buffer.memory_), wait ? CL_TRUE : CL_FALSE,
                             offset, bytes, source, 0, nullptr,
                             handles_->event_of(Category::copy, "write", bytes)),
        "clEnqueueWriteBuffer");
}

void Device::read(const Buffer& buffer, void* target, std::size_t bytes, std::size_t offset) {
  expect_inside(buffer, offset, bytes, "a read");
  if (bytes == 0) return;
  check(clEnqueueReadBuffer(handles_->queue, memory_of(buffer.memory_), CL_TRUE, offset, bytes,
                            target, 0, nullptr, handles_->event_of(Category::copy, "read", bytes)),
        "clEnqueueReadBuffer");
}

void Device::fill_zero(const Buffer& buffer) {
  const cl_uchar zero = 0;
  check(clEnqueueFillBuffer(handles_->queue, memory_of(buffer.memory_), &zero, sizeof zero, 0,
                            buffer.bytes(), 0, nullptr,
                            handles_->event_of(Category::copy, "fill", buffer.bytes())),
        "clEnqueueFillBuffer");
}

void Device::copy(const Buffer& source, const Buffer& target, std::size_t bytes) {
  expect_inside(source, 0, bytes, "a copy");
  expect_inside(target, 0, bytes, "a copy");
  check(
      clEnqueueCopyBuffer(handles_->queue, memory_of(source.memory_), memory_of(target.memory_), 0,
                          0, bytes, 0, nullptr, handles_->event_of(Category::copy, "copy", bytes)),
      "clEnqueueCopyBuffer");
}

Mapping Device::map(const Buffer& buffer, Access access) {
  const cl_map_flags flags = access == Access::read ? CL_MAP_READ : CL_MAP_READ | CL_MAP_WRITE;
  cl_int status = CL_SUCCESS;
  void* address = clEnqueueMapBuffer(
      handles_->queue, memory_of(buffer.memory_), CL_TRUE, flags, 0, buffer.bytes(), 0, nullptr,
      handles_->event_of(Category::copy, "map", buffer.bytes()), &status);
  check(status, "clEnqueueMapBuffer");
  Mapping mapping;
  mapping.bytes_ = buffer.bytes();
  mapping.address_ = {address, [queue = handles_->queue, memory = buffer.memory_](void* mapped) {
                        if (clEnqueueUnmapMemObject(queue, memory_of(memory), mapped, 0, nullptr,
                                                    nullptr) != CL_SUCCESS) {
                          log::error("OpenCL: clEnqueueUnmapMemObject failed");
                        }
                      }};
  return mapping;
}

void Device::expect_arguments(const Kernel& kernel, std::size_t count) {
  if (kernel.arguments_ == count) return;
  throw Error(
      fmt::format("kernel {} takes {} arguments, not {}", kernel.name(), kernel.arguments_, count));
}

void Device::set_buffer(const Kernel& kernel, unsigned position, const Buffer& buffer) {
  cl_mem memory = memory_of(buffer.memory_);
  set_bytes(kernel, position, &memory, sizeof memory);
}

void Device::set_bytes(const Kernel& kernel, unsigned position, const void* value,
                       std::size_t bytes) {
  const cl_int status =
      clSetKernelArg(static_cast<cl_kernel>(kernel.kernel_.get()), position, bytes, value);
  if (status != CL_SUCCESS)
    check(status, fmt::format("setting argument {} of kernel {}", position, kernel.name()));
}

void Device::enqueue(const Kernel& kernel, const Range& range) {
  const cl_int status =
      clEnqueueNDRangeKernel(handles_->queue, static_cast<cl_kernel>(kernel.kernel_.get()), 3,
                             nullptr, range.global.data(), range.local.data(), 0, nullptr,
                             handles_->event_of(Category::kernel, kernel.name(), 0));
  if (status != CL_SUCCESS)
    check(status, fmt::format("launching kernel {} on {}", kernel.name(), info_.name));
}

Mark Device::mark() {
  cl_event event = nullptr;
  check(clEnqueueMarkerWithWaitList(handles_->queue, 0, nullptr, &event),
        "clEnqueueMarkerWithWaitList");
  return Mark(event);
}

void Device::flush() {
  check(clFlush(handles_->queue), "clFlush");
  for (auto* each : {&handles_->profile, &handles_->to_host.profile, &handles_->to_device.profile,
                     &handles_->input.profile}) {
    if (*each) (*each)->harvest();
  }
}

void Device::finish() {
  check(clFinish(handles_->queue), "clFinish");
  if (handles_->input.queue) check(clFinish(handles_->input.queue), "clFinish");
}

void Device::end_timeline() {
  // The kernels' first: the last one takes its look at the clock.
  for (auto* each : {&handles_->profile, &handles_->to_host.profile, &handles_->to_device.profile,
                     &handles_->input.profile}) {
    if (*each) (*each)->end();
  }
}

}  // namespace dovetail::opencl
