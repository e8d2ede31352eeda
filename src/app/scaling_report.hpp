// What `dovetail bench scaling` says of what it measured and simulated.
#pragma once

#include <string>
#include <vector>

#include "bench/scaling.hpp"
#include "bench/step_profile.hpp"
#include "support/json.hpp"

namespace dovetail::app {

struct UsedNetwork {
  bench::Network network;
  std::string source;  // "measured", "given" or "assumed"
};

struct ScalingFindings {
  // ---- of the ranks that there are
  std::string device{};
  int ranks = 1;
  int ranks_per_host = 1;  // of the simulated hosts
  int batch = 1;           // of a step
  std::string scaling{};   // weak or strong
  std::string balance{};
  std::vector<double> shares{};  // samples by rank; empty: equal
  bench::StepProfile profile{};
  bench::MeasuredStep measured{};
  UsedNetwork network{};
  bench::SimulatedStep simulated_here{};  // of the very ranks that were measured

  // ---- simulated
  struct Point {
    int ranks = 1, hosts = 1;
    bench::SimulatedStep step{};
    double samples_per_second = 0;
    double speedup = 1;  // over one rank, simulated too
  };
  std::vector<Point> points{};
};

struct ScalingReport {
  std::string text;
  Json json;
};

ScalingReport report_of(const ScalingFindings& findings);

}  // namespace dovetail::app
