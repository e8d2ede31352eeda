// Where a rank's time goes.
#pragma once

#include "support/json.hpp"

namespace dovetail {

/// Seconds of a GPU rank, by phase.
struct TrainPhases {
  double input_s = 0;       // waiting for the next batch
  double compute_s = 0;     // forward and backward, until the gradients can be read; of a rank that
                            // trains alone: enqueueing steps, updates too, and waiting for them
  double boost_s = 0;       // taking in contributed gradients (lead rank)
  double balance_s = 0;     // comparing the ranks' speeds, making room for other shares
  double reduce_s = 0;      // all-reduce, waiting for the other ranks included
  double update_s = 0;      // checking the sums, enqueueing the optimiser; of a rank that trains
                            // alone: taking in what became of steps that are done
  double calibrate_s = 0;   // ranges of the feature maps, for the low precision of the FPGA ranks
  double publish_s = 0;     // quantising and starting broadcasts (lead rank)
  double poll_s = 0;        // looking for evaluations, never waiting (lead rank)
  double validate_s = 0;    // float32 evaluation of the test set
  double checkpoint_s = 0;  // gathering and writing (lead rank)
  double await_fpga_s =
      0;  // after the last epoch, for the FPGA ranks' last evaluations (lead rank)

  Json to_json() const {
    return {{"input", input_s},           {"compute", compute_s}, {"boost", boost_s},
            {"reduce", reduce_s},         {"update", update_s},   {"calibrate", calibrate_s},
            {"publish", publish_s},       {"poll", poll_s},       {"validate", validate_s},
            {"checkpoint", checkpoint_s}, {"balance", balance_s}, {"await_fpga", await_fpga_s}};
  }
};

}  // namespace dovetail
