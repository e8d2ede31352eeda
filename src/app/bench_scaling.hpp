// `dovetail bench scaling`: steps on more ranks than there are here, simulated.
#pragma once

#include <cstddef>
#include <string>

#include "app/command_line.hpp"
#include "app/scaling_report.hpp"
#include "comm/communicator.hpp"
#include "device/opencl/device.hpp"
#include "model/model.hpp"
#include "ops/compute_format.hpp"

namespace dovetail::app {

struct ScalingOptions {
  std::string simulate = "2,4,8,16,32,64,128,256,512,1024";  // ranks
  std::string scaling = "weak";
  std::string network;            // as bench::parse_network reads it; empty: measured, or assumed
  int ranks_per_host = 0;         // 0: as many as are measured
  double bucket_mb = 1;           // of gradients that are summed together
  std::string balance = "equal";  // as parse_balance reads it

  void add_to(CommandLine& line);
};

/// Measures on all ranks of `ranks`, of one host or of several; collective. Throws UsageError for
/// options that make no sense.
ScalingReport bench_scaling(Communicator& ranks, opencl::Device& device, const Model& model,
                            int batch, double seconds, ComputeFormat format,
                            const ScalingOptions& options);

}  // namespace dovetail::app
