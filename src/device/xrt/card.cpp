// Opens cards, loads their xclbins, and allocates, fills and reads their buffers.
#include "device/xrt/card.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "device/xrt/state.hpp"
#include "support/activity.hpp"
#include "support/timeline.hpp"

namespace dovetail::fpga {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr double longest_timeout_s = 1e8;  // three years: a clock's nanoseconds hold hundreds

std::string kernel_names(const xrt::xclbin& xclbin) {
  std::vector<std::string> names;
  for (const auto& kernel : xclbin.get_kernels()) names.push_back(kernel.get_name());
  return fmt::format("{}", fmt::join(names, ", "));
}

std::vector<ArgumentInfo> arguments_of(const xrt::xclbin::kernel& description,
                                       const xrt::kernel& kernel) {
  std::vector<ArgumentInfo> arguments;
  for (const auto& argument : description.get_args()) {
    ArgumentInfo info{argument.get_name(), argument.get_host_type(), argument.get_size()};
    info.is_pointer = info.type.find('*') != std::string::npos;
    if (info.is_pointer) info.group = kernel.group_id(static_cast<int>(arguments.size()));
    arguments.push_back(info);
  }
  return arguments;
}

void expect_inside(const BufferState& state, std::size_t size, std::size_t bytes,
                   std::size_t offset, const char* what) {
  if (offset > size || bytes > size - offset) {
    throw Error(fmt::format("{}: {} of {} bytes at {} leaves a buffer of {} bytes",
                            state.card->label, what, bytes, offset, size));
  }
}

}  // namespace

HostPages::HostPages(std::size_t bytes)
    : pages_(std::aligned_alloc(page_bytes, (bytes + page_bytes - 1) / page_bytes * page_bytes),
             std::free) {
  if (pages_ == nullptr) throw std::bad_alloc();
}

std::string CardState::bank_name(int group) const {
  const auto banks = xclbin.get_mems();
  const auto index = static_cast<std::size_t>(group);
  return index < banks.size() ? banks[index].get_tag() : fmt::format("memory group {}", group);
}

void CardState::note_stuck(const std::string& kernel) {
  const std::lock_guard lock(stuck_mutex);
  if (stuck.empty())
    stuck = fmt::format("kernel {} has not returned within {} s", kernel, timeout_s);
}

void CardState::expect_responsive(const std::string& and_so) {
  const std::lock_guard lock(stuck_mutex);
  if (stuck.empty()) return;
  throw Error(fmt::format("{}: {}{}", label, stuck, and_so),
              "Restart the job; reset a real card with `xbutil reset`");
}

Card::Card(int index, const std::filesystem::path& xclbin, double timeout_s)
    : state_(std::make_shared<CardState>()) {
  expect_whole_xclbin(xclbin);
  state_->timeout_s = std::min(timeout_s, longest_timeout_s);
  state_->label = fmt::format("card {}", index);
  note_that_xrt_is_used();
  if (index < 0)
    throw Error(fmt::format("there is no card {}", index), "`dovetail devices` lists the cards");
  with_xrt(fmt::format("opening card {}", index), "`dovetail devices` lists the cards", [&] {
    const activity::During during(activity::Call::open_card);
    state_->device = xrt::device(static_cast<unsigned>(index));
  });
  info_ = describe(index, state_->device);
  state_->label = fmt::format("card {} ({})", index, info_.name);
  state_->lane = is_emulated(info_.name) ? fmt::format("card {} (emulated)", index) : state_->label;
  load(xclbin);
}

Card::~Card() = default;

void Card::load(const std::filesystem::path& xclbin) {
  expect_whole_xclbin(xclbin);
  state_->expect_responsive(fmt::format(", so {} is not loaded", xclbin.string()));
  const std::string file = xclbin.string();
  with_xrt(fmt::format("{}: loading {}", state_->label, file),
           "It was built for another card, or another job keeps the card", [&] {
             const activity::During during(activity::Call::load_xclbin);
             state_->xclbin = xrt::xclbin(file);
             state_->uuid = state_->device.load_xclbin(state_->xclbin);
           });
  info_.memory_bytes = 0;
  info_.compute_units = 0;
  for (const auto& bank : state_->xclbin.get_mems()) {
    if (bank.get_used()) info_.memory_bytes += bank.get_size_kb() * 1024;
  }
  for (const auto& kernel : state_->xclbin.get_kernels()) {
    info_.compute_units += static_cast<int>(kernel.get_cus().size());
  }
}

Kernel Card::kernel(const std::string& name) {
  // "vadd:{vadd_2}" picks one compute unit of a kernel.
  const auto description = state_->xclbin.get_kernel(name.substr(0, name.find(':')));
  if (!description) {
    throw Error(fmt::format("{}: the xclbin has no kernel {}, it was built for other kernels ({})",
                            state_->label, name, kernel_names(state_->xclbin)),
                "Load the xclbin of the right kernel family");
  }
  Kernel kernel;
  kernel.name_ = name;
  kernel.state_ = std::make_shared<KernelState>();
  with_xrt(fmt::format("{}: opening kernel {}", state_->label, name), "Another process may hold it",
           [&] {
             kernel.state_->card = state_;
             kernel.state_->kernel = xrt::kernel(state_->device, state_->uuid, name);
             kernel.state_->run = xrt::run(kernel.state_->kernel);
             kernel.state_->arguments = arguments_of(description, kernel.state_->kernel);
           });
  return kernel;
}

Buffer Card::allocate(std::size_t bytes, const Kernel& kernel, int argument) {
  const auto& arguments = kernel.state_->arguments;
  const auto position = static_cast<std::size_t>(argument);
  if (bytes == 0)
    throw Error(fmt::format("{}: a buffer of 0 bytes for kernel {}", state_->label, kernel.name()));
  if (position >= arguments.size() || !arguments[position].is_pointer) {
    throw Error(fmt::format("{}: argument {} of kernel {} takes no buffer", state_->label, argument,
                            kernel.name()));
  }
  const int group = arguments[position].group;
  const std::string what =
      fmt::format("{}: allocating {} in {} ({} of kernel {})", state_->label,
                  format_bytes(static_cast<double>(bytes)), state_->bank_name(group),
                  arguments[position].name, kernel.name());
  Buffer result;
  result.bytes_ = bytes;
  try {
    HostPages host(bytes);
    xrt::bo buffer(state_->device, host.data(), bytes, static_cast<xrt::memory_group>(group));
    result.state_ = std::make_shared<BufferState>(
        BufferState{state_, std::move(host), std::move(buffer), group});
  } catch (const std::bad_alloc&) {
    throw Error(what + " failed: the bank has no room for it",
                "Use a smaller batch or a smaller model");
  } catch (const std::exception& failure) {
    throw Error(fmt::format("{} failed: {}", what, failure.what()));
  }
  return result;
}

void Buffer::write(const void* source, std::size_t bytes, std::size_t offset) {
  expect_inside(*state_, bytes_, bytes, offset, "a write");
  if (bytes == 0) return;
  const timeline::Scope scope(state_->card->lane, timeline::Category::copy, "write", bytes);
  const activity::During during(activity::Call::write_to_card);
  with_xrt(fmt::format("{}: writing {} bytes", state_->card->label, bytes), "", [&] {
    state_->buffer.write(source, bytes, offset);
    state_->buffer.sync(XCL_BO_SYNC_BO_TO_DEVICE, bytes, offset);
  });
}

void Buffer::read(void* target, std::size_t bytes, std::size_t offset) {
  expect_inside(*state_, bytes_, bytes, offset, "a read");
  if (bytes == 0) return;
  const timeline::Scope scope(state_->card->lane, timeline::Category::copy, "read", bytes);
  const activity::During during(activity::Call::read_from_card);
  with_xrt(fmt::format("{}: reading {} bytes", state_->card->label, bytes), "", [&] {
    state_->buffer.sync(XCL_BO_SYNC_BO_FROM_DEVICE, bytes, offset);
    state_->buffer.read(target, bytes, offset);
  });
}

void Buffer::read_checked(void* target, std::size_t bytes, std::size_t offset) {
  read(target, bytes, offset);
  if (bytes == 0) return;
  const timeline::Scope scope(state_->card->lane, timeline::Category::copy, "read again", bytes);
  const activity::During during(activity::Call::read_from_card);
  with_xrt(fmt::format("{}: reading {} bytes again", state_->card->label, bytes), "",
           [&] { state_->buffer.sync(XCL_BO_SYNC_BO_FROM_DEVICE, bytes, offset); });
  const auto* again = static_cast<const std::uint8_t*>(state_->host.data()) + offset;
  if (std::memcmp(target, again, bytes) == 0) return;
  throw Error(fmt::format("{}: a corrupt readback: two transfers of the same {} bytes differ",
                          state_->card->label, bytes),
              "Look at the card's link with `xbutil validate`");
}

}  // namespace dovetail::fpga
