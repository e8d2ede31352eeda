// Options of `dovetail train` about the images on their way into the network.
#pragma once

#include <string>

#include "app/command_line.hpp"
#include "train/trainer.hpp"

namespace dovetail::app {

struct InputOptions {
  std::string augmentation = "none";
  std::string place = "auto";

  void add_to(CommandLine& line);
  /// After the boosts. Throws UsageError for what cannot work.
  void apply(TrainSettings& settings) const;
};

/// "auto", "device" or "host"; throws UsageError for other words.
DataPlace parse_data_place(const std::string& text);
/// What the option that it reads says of itself.
extern const char* const data_place_help;

}  // namespace dovetail::app
