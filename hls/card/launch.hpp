// One launch on one compute unit: arguments from the register map, addresses checked, the kernel
// called.
#pragma once

#include "card/compute_units.hpp"
#include "card/faults.hpp"
#include "card/image.hpp"
#include "card/memory.hpp"

namespace dovetail::card {

/// Runs an ERT_START_CU packet on `unit`. Throws Refusal, with what is wrong, when the launch ends
/// in an error: an argument that is not set, an address in no buffer or in a bank that the argument
/// is not connected to, a kernel that throws or faults.
void launch(const Command& command, const ComputeUnit& unit, const Memory& memory);

/// Runs an ERT_START_COPYBO packet. Throws Refusal like copy_between.
void copy(const Command& command, const Memory& memory);

/// Copies on the card. Throws Refusal when source or target leave their buffers.
void copy_between(const Place& source, const Place& target, std::uint64_t bytes);

/// The compute units that a start command allows. Throws Refusal where there are none such.
std::bitset<max_units + 1> allowed_units(const ert_packet* packet, std::size_t unit_count);

}  // namespace dovetail::card
