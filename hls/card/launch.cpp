// Decodes ERT packets (layout: XRT's ert.h) and carries them out.
#include "card/launch.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "card/crash_guard.hpp"
#include "card/refusal.hpp"

namespace dovetail::card {
namespace {

constexpr std::size_t word_bytes = sizeof(std::uint32_t);

const ert_start_kernel_cmd* start_packet(const ert_packet* packet) {
  return reinterpret_cast<const ert_start_kernel_cmd*>(packet);
}

std::string argument_text(const ComputeUnit& unit, std::size_t index) {
  return unit.name + ": argument " + std::to_string(index) + " (" +
         unit.kernel->arguments[index].name + ") ";
}

/// The host address behind a card address, and the buffer that must live as long as the launch.
Place place_of(const ComputeUnit& unit, std::size_t index, std::uint64_t address,
               const Memory& memory) {
  if (address == 0) throw Refusal(EINVAL, argument_text(unit, index) + "is not set");
  Place place = memory.at(address);
  if (place.buffer == nullptr)
    throw Refusal(EFAULT, argument_text(unit, index) + "points at no buffer of this card");
  const int bank = static_cast<int>(place.buffer->bank);
  if (unit.connected.count({static_cast<int>(index), bank}) == 0) {
    throw Refusal(EFAULT, argument_text(unit, index) + "points into " +
                              memory.banks()[place.buffer->bank].tag +
                              ", which it is not connected to");
  }
  return place;
}

}  // namespace

void launch(const Command& command, const ComputeUnit& unit, const Memory& memory) {
  const ert_start_kernel_cmd* packet = start_packet(command.packet());
  const std::uint32_t* registers = packet->data + packet->extra_cu_masks;
  const std::size_t register_bytes = (packet->count - 1 - packet->extra_cu_masks) * word_bytes;
  const KernelEntry& kernel = *unit.kernel;

  std::vector<std::array<std::byte, 8>> values(kernel.argument_count);
  std::vector<const void*> arguments(kernel.argument_count);
  std::vector<Place> places;  // keeps the buffers for as long as the kernel runs
  places.reserve(kernel.argument_count);
  for (std::size_t i = 0; i < kernel.argument_count; ++i) {
    const ArgumentEntry& argument = kernel.arguments[i];
    if (argument.offset + argument.bytes > register_bytes) {
      throw Refusal(EINVAL, argument_text(unit, i) + "is not set");
    }
    std::memcpy(values[i].data(), reinterpret_cast<const std::byte*>(registers) + argument.offset,
                argument.bytes);
    if (argument.is_pointer) {
      std::uint64_t address = 0;
      std::memcpy(&address, values[i].data(), sizeof address);
      places.push_back(place_of(unit, i, address, memory));
      const std::byte* pointer = places.back().pointer();
      std::memcpy(values[i].data(), &pointer, sizeof pointer);
    }
    arguments[i] = values[i].data();
  }
  const std::string problem = guarded([&] { kernel.call(arguments.data()); });
  if (!problem.empty()) throw Refusal(EIO, unit.name + " failed: " + problem);
}

void copy(const Command& command, const Memory& memory) {
  const auto* packet = reinterpret_cast<const ert_start_copybo_cmd*>(command.packet());
  const auto wide = [](std::uint32_t low, std::uint32_t high) {
    return (std::uint64_t{high} << 32) | low;
  };
  // The addresses are offsets into the buffers that the handles name.
  const Place source{memory.find(packet->src_bo_hdl),
                     wide(packet->src_addr_lo, packet->src_addr_hi)};
  const Place target{memory.find(packet->dst_bo_hdl),
                     wide(packet->dst_addr_lo, packet->dst_addr_hi)};
  copy_between(source, target, wide(packet->size, packet->size_hi));
}

void copy_between(const Place& source, const Place& target, std::uint64_t bytes) {
  for (const Place& place : {source, target}) {
    if (place.buffer->kind() == Buffer::Kind::commands) throw Refusal(EINVAL, "a copy of commands");
    if (place.offset > place.buffer->bytes() || place.rest() < bytes) {
      throw Refusal(EFAULT, "a copy on the card leaves its buffers");
    }
  }
  std::memmove(target.pointer(), source.pointer(), bytes);
}

std::bitset<max_units + 1> allowed_units(const ert_packet* packet, std::size_t unit_count) {
  const ert_start_kernel_cmd* start = start_packet(packet);
  std::bitset<max_units + 1> allowed;
  for (std::size_t mask = 0; mask <= start->extra_cu_masks; ++mask) {
    const std::uint32_t bits = mask == 0 ? start->cu_mask : start->data[mask - 1];
    for (std::size_t bit = 0; bit < 32; ++bit) {
      if (bits >> bit & 1) allowed.set(mask * 32 + bit);
    }
  }
  for (std::size_t unit = unit_count; unit < max_units; ++unit) {
    if (allowed[unit])
      throw Refusal(EINVAL, "a command is for compute unit " + std::to_string(unit) +
                                ", which the xclbin does not have");
  }
  if (allowed.none()) throw Refusal(EINVAL, "a command is for no compute unit");
  return allowed;
}

}  // namespace dovetail::card
