// One opened card: what XRT's driver layer is asked for, each call checked like a strict card
// would.
//
// Thread-safe apart from loading and closing, which XRT itself serialises.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "card/compute_units.hpp"
#include "card/faults.hpp"
#include "card/image.hpp"
#include "card/memory.hpp"

namespace dovetail::card {

/// How many cards this process sees: DOVETAIL_EMULATED_CARDS, 1 without it. Throws Refusal when it
/// is no number.
unsigned card_count();

class EmulatedCard {
 public:
  EmulatedCard();

  void load(const axlf* xclbin);

  unsigned allocate(std::size_t bytes, unsigned flags, void* user_memory);
  void free(unsigned buffer);
  std::shared_ptr<Buffer> find(unsigned buffer) const;
  void sync(unsigned buffer, Direction direction, std::size_t bytes, std::size_t offset);
  void copy(unsigned target, unsigned source, std::size_t bytes, std::size_t target_offset,
            std::size_t source_offset);

  /// `unit` as in the order of the xclbin; XRT's virtual unit for copies is ~0.
  void open_context(unsigned unit);
  void close_context(unsigned unit);

  void execute(unsigned command_buffer);
  bool wait_for_end(int timeout_ms);

 private:
  // Owned by running launches too, so that a kernel that hangs keeps its code and its buffers.
  struct Board {
    Memory memory;
    Faults faults;
    std::unique_ptr<Image> image;

    explicit Board(const std::string& fault_list) : faults(fault_list) {}
    bool run(const Command& command, std::size_t unit);
  };

  void expect_present() const;

  std::shared_ptr<Board> board_;
  std::unique_ptr<ComputeUnits> units_;
  std::mutex mutex_;                       // guards the members below
  std::map<unsigned, unsigned> contexts_;  // openings per compute unit
  std::string loaded_;                     // uuid of the xclbin
  std::atomic<bool> gone_{false};
};

}  // namespace dovetail::card
