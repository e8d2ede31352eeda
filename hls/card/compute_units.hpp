// The card's compute units at work: one thread each, and one for the copy engine.
//
// Thread-safe. Closing joins the units that are idle and lets go of one that hangs: it must not
// keep the process.
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <memory>

#include "card/memory.hpp"
#include "ert.h"

namespace dovetail::card {

constexpr std::size_t max_units = 128;          // four masks of 32 bits
constexpr std::size_t copy_engine = max_units;  // the unit that copies between buffers

struct Command {
  std::shared_ptr<Buffer> buffer;  // holds the packet
  std::bitset<max_units + 1> allowed;
  bool fails = false;   // an injected fault
  bool hangs = false;   // an injected fault
  bool silent = false;  // an injected fault: nobody is told of the end
  std::uint64_t queued_ns = 0;

  ert_packet* packet() const { return reinterpret_cast<ert_packet*>(buffer->host()); }
  /// XRT polls the state while the card writes it, so the header is read and written as a whole.
  ert_cmd_opcode opcode() const;
  void set_state(ert_cmd_state state) const;
  /// What XRT's driver notes behind a start command that asks for it; before the state says that it
  /// has ended.
  void note_times(std::uint64_t running_ns, ert_cmd_state ended) const;
};

class ComputeUnits {
 public:
  /// Runs one command on one unit; false: the command ends in the error state.
  using Execute = std::function<bool(const Command& command, std::size_t unit)>;

  ComputeUnits(std::size_t count, Execute execute);
  ~ComputeUnits();
  ComputeUnits(const ComputeUnits&) = delete;
  ComputeUnits& operator=(const ComputeUnits&) = delete;

  /// The first allowed unit that is free takes it. The packet's state says how it ended.
  void submit(Command command);
  /// Waits for an ended command that no other wait has told of. False: none within the time.
  bool wait_for_end(int timeout_ms);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace dovetail::card
