// One OpenCL device with its context and the in-order queue of its kernels: memory, kernels and
// launches.
//
// No CL/ header is needed here: handles are opaque, and only the .cpp files of this folder call
// OpenCL. Not thread-safe: one Device belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "device/device_info.hpp"
#include "device/opencl/failures.hpp"
#include "device/opencl/kernel_source.hpp"
#include "device/opencl/mark.hpp"
#include "support/cache_folder.hpp"

namespace dovetail::opencl {

/// Every OpenCL device of this host, in the platforms' order. Empty where there is no platform or
/// no loader entry.
std::vector<DeviceInfo> list_devices();

/// GPUs that can be listed before roles are known: without those of PoCL and XRT, so that
/// limit_cpu_threads() and the choice of cards still count afterwards. `index` is among these
/// platforms' devices.
std::vector<DeviceInfo> list_gpus();

/// The global and local sizes of a launch; unused dimensions are 1. global must be a multiple of
/// local.
struct Range {
  std::array<std::size_t, 3> global{1, 1, 1};
  std::array<std::size_t, 3> local{1, 1, 1};
};

/// Device memory, or a part of it. Copies share the memory.
class Buffer {
 public:
  Buffer() = default;
  std::size_t bytes() const { return bytes_; }
  explicit operator bool() const { return memory_ != nullptr; }
  /// A part of this buffer, which may be a part itself. `offset` must be a multiple of
  /// Device::alignment().
  Buffer slice(std::size_t offset, std::size_t bytes) const;

 private:
  friend class Device;
  friend class HostedBuffer;
  friend class InputQueue;
  std::shared_ptr<void> memory_;  // cl_mem
  std::shared_ptr<void>
      whole_;  // of a part: the allocation it lies in, since OpenCL knows no parts of parts
  std::size_t origin_ = 0;  // of a part: its offset there
  std::size_t bytes_ = 0;
};

/// Device memory mapped into the host's address space; unmapped on destruction. On CPU devices
/// nothing is copied.
class Mapping {
 public:
  Mapping(Mapping&&) noexcept = default;
  Mapping& operator=(Mapping&&) noexcept = default;
  template <typename T>
  std::span<T> as() const {
    return {static_cast<T*>(address_.get()), bytes_ / sizeof(T)};
  }

 private:
  friend class Device;
  Mapping() = default;
  std::shared_ptr<void> address_;
  std::size_t bytes_ = 0;
};

enum class Access { read, read_write };

/// One kernel of a built program. Copies share the handle, so set arguments and launch in one go.
class Kernel {
 public:
  Kernel() = default;
  const std::string& name() const { return name_; }
  explicit operator bool() const { return kernel_ != nullptr; }

 private:
  friend class Device;
  friend class Program;
  std::shared_ptr<void> kernel_;  // cl_kernel
  std::string name_;
  std::size_t arguments_ = 0;
};

/// Kernel sources built for one device with one set of options.
class Program {
 public:
  /// Throws Error when the program has no such kernel.
  Kernel kernel(const kernels::Entry& entry) const;

 private:
  friend class Device;
  std::shared_ptr<void> program_;  // cl_program
};

/// What NVIDIA GPUs offer beyond OpenCL C, through inline PTX: copies past the registers (compute
/// capability 8.0), the tensor cores by warp (8.0), and by warpgroup with bulk copies (9.0a).
enum class InstructionSet { async_copy, mma, wgmma };
const char* to_string(InstructionSet set);

/// Names the sets that devices may take at all: "none", or "async_copy,mma"; unset: every one.
inline constexpr const char* instructions_variable = "DOVETAIL_INSTRUCTIONS";
/// Throws UsageError at an unknown word.
std::vector<InstructionSet> allowed_instructions();
/// What the variable says, for people; empty where it is unset.
std::string instructions_remark();

class Device {
 public:
  /// Opens device `index` of list_devices(). `cache`: where built programs are kept for the next
  /// start. Throws Error where there is no such device.
  explicit Device(int index, std::shared_ptr<CacheFolder> cache = nullptr);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const { return info_; }
  bool is_cpu() const { return info_.kind == DeviceKind::cpu; }
  /// Bytes to which the offset of a Buffer::slice must be aligned.
  std::size_t alignment() const { return alignment_; }
  /// Whether a kernel with these instructions builds here and gives right results, and they are
  /// allowed. Found once, by running one in a context of its own. Throws OutOfMemory where there is
  /// no room for that.
  bool takes(InstructionSet set) const;

  /// Builds one source with -D definitions, for example {"TILE=8", "RELU=1"}; the same request is
  /// built once, and its binary kept in the cache. Throws BuildFailure with the compiler's log.
  Program build(const kernels::Source& source, const std::vector<std::string>& definitions = {});
  /// How many programs came from their source, and how many from the cache.
  struct Builds {
    int compiled = 0;
    int loaded = 0;
  };
  const Builds& builds() const { return builds_; }
  const std::shared_ptr<CacheFolder>& cache() const { return cache_; }

  /// Device memory; its contents are undefined. Throws OutOfMemory when there is not enough, as
  /// whatever first uses the memory does on some drivers.
  Buffer allocate(std::size_t bytes);
  /// Device memory filled with zeros.
  Buffer allocate_zeroed(std::size_t bytes);
  /// Allocates where the buffer is shorter; what it held is then lost.
  void reserve(Buffer& buffer, std::size_t bytes);

  /// Copies from host memory, and returns when `source` may be reused. Throws Error past the
  /// buffer's end.
  void write(const Buffer& buffer, const void* source, std::size_t bytes, std::size_t offset = 0);
  /// The same without waiting: `source` must stay as it is until the copy, which comes behind all
  /// that is enqueued now, is done.
  void write_later(const Buffer& buffer, const void* source, std::size_t bytes,
                   std::size_t offset = 0);
  /// Copies to host memory after all work enqueued before, and returns when `target` holds the
  /// values.
  void read(const Buffer& buffer, void* target, std::size_t bytes, std::size_t offset = 0);
  void fill_zero(const Buffer& buffer);
  void copy(const Buffer& source, const Buffer& target, std::size_t bytes);
  /// Maps a buffer after all work enqueued before. The mapping must die before the next launch that
  /// uses the buffer.
  Mapping map(const Buffer& buffer, Access access);

  template <typename T>
  Buffer upload(std::span<const T> values) {
    Buffer buffer = allocate(values.size_bytes());
    write(buffer, values.data(), values.size_bytes());
    return buffer;
  }
  template <typename T>
  std::vector<T> download(const Buffer& buffer) {
    std::vector<T> values(buffer.bytes() / sizeof(T));
    read(buffer, values.data(), values.size() * sizeof(T));
    return values;
  }

  /// Enqueues a kernel. Arguments are Buffers or scalars (std::int32_t, std::uint32_t,
  /// std::uint64_t, float) in the kernel's order; their number is checked.
  template <typename... Arguments>
  void launch(const Kernel& kernel, const Range& range, const Arguments&... arguments) {
    expect_arguments(kernel, sizeof...(arguments));
    unsigned position = 0;
    (set_argument(kernel, position++, arguments), ...);
    enqueue(kernel, range);
  }

  /// When all that is enqueued now is done; flush() makes it one to wait for.
  Mark mark();
  /// Hands what is enqueued to the device without waiting.
  void flush();
  /// Waits until everything enqueued is done. Throws Error when the device failed.
  void finish();
  /// Waits, and records the last commands of a timeline, if one was begun before the device was
  /// opened (support/timeline.hpp). To be called before timeline::stop.
  void end_timeline();

 private:
  friend class HostedBuffer;
  friend class InputQueue;
  friend class PinnedMemory;
  struct Handles;

  template <typename T>
  void set_argument(const Kernel& kernel, unsigned position, const T& value) {
    if constexpr (std::is_same_v<T, Buffer>) {
      set_buffer(kernel, position, value);
    } else {
      static_assert(std::is_same_v<T, std::int32_t> || std::is_same_v<T, std::uint32_t> ||
                        std::is_same_v<T, std::uint64_t> || std::is_same_v<T, float>,
                    "kernel arguments are Buffers, int32, uint32, uint64 or float");
      set_bytes(kernel, position, &value, sizeof value);
    }
  }
  void enqueue_write(const Buffer& buffer, const void* source, std::size_t bytes,
                     std::size_t offset, bool wait);
  static void expect_arguments(const Kernel& kernel, std::size_t count);
  void set_buffer(const Kernel& kernel, unsigned position, const Buffer& buffer);
  void set_bytes(const Kernel& kernel, unsigned position, const void* value, std::size_t bytes);
  void enqueue(const Kernel& kernel, const Range& range);
  bool load(const CacheFolder::Label& label, const std::string& options, Program& program);
  void compile(const kernels::Source& source, const std::string& options, Program& program);

  DeviceInfo info_;
  std::shared_ptr<CacheFolder> cache_;
  Builds builds_;
  std::unique_ptr<Handles> handles_;
  std::size_t alignment_ = 128;
  std::vector<InstructionSet> allowed_ = allowed_instructions();
  mutable std::array<std::optional<bool>, 3> takes_;  // by InstructionSet, once known
};

/// For CPU devices that several ranks of a host share: how many threads this process's device may
/// use. Call before the first OpenCL call of the process; has no effect on GPUs, nor where the user
/// has set it already.
void limit_cpu_threads(int threads);

}  // namespace dovetail::opencl
