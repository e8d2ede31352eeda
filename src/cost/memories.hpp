// The on-chip memories of the kernels in hls/, as their sources declare and bind them.
//
// They have the maxima of numeric/engine_layout.hpp and numeric/training_layout.hpp, whatever the
// model: a new one needs no new bitstream. Another folding than the built one keeps their bytes and
// changes the words. tests/cost/memories_test.cpp holds sizes and bindings against the sources.
#pragma once

#include <string_view>
#include <vector>

#include "cost/resources.hpp"
#include "cost/training_launch.hpp"
#include "cost/work.hpp"

namespace dovetail::cost {

/// `#pragma HLS bind_storage … impl`; automatic where there is none: LUT RAM or block RAM. Vitis
/// takes UltraRAM for what asks for it alone.
enum class Storage { automatic, bram, uram };

struct Memory {
  std::string_view source;    // within hls/
  std::string_view variable;  // a stream: its type
  std::int64_t depth, width;  // words, bits a word
  Storage storage = Storage::automatic;
  bool two_reads = false;   // in one cycle, so both ports are whole ones
  std::int64_t copies = 1;  // parts of a partition, halves of a ping-pong buffer, streams
};

Resources resources_of(const Card& card, const Memory& memory);
Resources resources_of(const Card& card, const std::vector<Memory>& memories);

/// Of one unit of hls/engine's convolution, dense layer or max-pool.
std::vector<Memory> engine_memories(WorkKind kind, const numeric::Format& format, Folding f);
/// Of hls/engine/quantise_input.cpp.
std::vector<Memory> engine_input_memories(const numeric::Format& format, Folding f);

/// Of one unit of each kernel of hls/training that inference launches.
std::vector<Memory> forward_memories(const TrainingFamily& family, Folding f);
std::vector<Memory> quantise_memories(const TrainingFamily& family, Folding f);
std::vector<Memory> quantise_images_memories(const TrainingFamily& family, Folding f);

}  // namespace dovetail::cost
