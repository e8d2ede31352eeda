// Dataflow on the host: the stages of a region run as fibers that pass the processor on when a
// stream blocks them.
//
// Under Vitis hls/vitis/dataflow.hpp takes this header's place and a region is plain `#pragma HLS
// dataflow`. Here the stages run in one thread, in turns: a stage goes on until it would read an
// empty stream or write a full one. When every unfinished stage waits so, the region is deadlocked,
// on the card as well, and the error names what each waits for.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace dovetail {
namespace hls {

/// What a stage can wait for; the base of Stream.
class Channel {
 public:
  virtual ~Channel() = default;
  virtual bool can_read() const = 0;
  virtual bool can_write() const = 0;
};

enum class Access { read, write };

/// Gives way to the other stages until `channel` can be accessed. Throws std::runtime_error outside
/// a region, where nobody could ever change it.
void wait_for(const Channel& channel, Access access);

/// A set of stages that run together.
class Region {
 public:
  void add(const char* name, std::function<void()> stage) {
    stages_.push_back({name, std::move(stage)});
  }
  /// Runs all stages to their end. Rethrows the first exception of a stage; throws
  /// std::runtime_error on a deadlock.
  void run();

 private:
  friend class Fibers;
  struct Stage {
    const char* name;
    std::function<void()> body;
  };
  std::vector<Stage> stages_;
};

}  // namespace hls
}  // namespace dovetail

// The three words in which a kernel writes its dataflow region. Stages take their arguments by
// reference to variables that outlive the region.
#define DATAFLOW_BEGIN() ::dovetail::hls::Region dataflow_region
#define DATAFLOW_STAGE(function, ...) dataflow_region.add(#function, [&] { function(__VA_ARGS__); })
#define DATAFLOW_END() dataflow_region.run()
