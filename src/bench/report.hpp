// What a benchmark measured: a table for people, JSON for programs.
#pragma once

#include <string>
#include <vector>

#include "bench/ceilings.hpp"

namespace dovetail::bench {

/// One measured piece of work on a device.
struct Row {
  std::string what;       // "dense 784->256, batch 64: forward"
  Json shape;             // the extents, for programs
  double operations = 0;  // floating-point; a multiply-add counts two
  double bytes = 0;       // each input read once, each output written once
  Timing timing;
};

/// Rows on one device, beside its ceilings.
class Report {
 public:
  Report(std::string benchmark, const DeviceInfo& device, std::string variant,
         const Ceilings& ceilings);

  void add(Row row) { rows_.push_back(std::move(row)); }

  /// The device, its ceilings, and a line a row: microseconds, GFLOP/s, share of the multiply-add
  /// ceiling, GB/s, and the time in units of the roofline's floor.
  std::string text() const;
  /// {"benchmark", "device", "driver", "variant", "ceilings", "rows": [{"what", "shape",
  /// "operations", "bytes", "timing", "flops", "of_float32_ceiling", "bytes_per_s",
  /// "of_copy_ceiling", "floor_s"}]}; rates, and their shares of the ceilings, by the median.
  Json json() const;

 private:
  std::string benchmark_;
  DeviceInfo device_;
  std::string variant_;
  Ceilings ceilings_;
  std::vector<Row> rows_;
};

}  // namespace dovetail::bench
