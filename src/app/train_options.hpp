// The options of `dovetail train`.
#pragma once

#include <vector>

#include "app/balance_options.hpp"
#include "app/boost_options.hpp"
#include "app/cache_option.hpp"
#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/input_options.hpp"
#include "app/placement_options.hpp"
#include "app/reduce_options.hpp"
#include "app/run_options.hpp"
#include "app/timeline_options.hpp"
#include "train/trainer.hpp"

namespace dovetail::app {

struct TrainOptions {
  TrainSettings settings;
  PlacementOptions placement;
  RunOptions run;
  ReduceOptions reduce;
  BalanceOptions balance;
  InputOptions input;
  BoostOptions boost;
  CacheOption cache;
  TimelineOptions timeline;
  bool names_fpga_formats = false;  // --fpga-format was given
  bool retire = true;               // an FPGA rank whose card fails; else the job ends
};

/// Returns false when --help was asked for. Throws UsageError for what cannot work.
bool parse(const Arguments& arguments, TrainOptions& options);

}  // namespace dovetail::app
