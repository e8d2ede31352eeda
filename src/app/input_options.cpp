// Augmentation, and where images are kept.
#include "app/input_options.hpp"

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::app {

const char* const data_place_help =
    "where the training images are kept: device (uploaded once), host (each step uploads its own) "
    "or auto: on a GPU where they take an eighth of its memory at most";

DataPlace parse_data_place(const std::string& text) {
  if (text == "auto") return DataPlace::automatic;
  if (text == "device") return DataPlace::device;
  if (text == "host") return DataPlace::host;
  throw UsageError(fmt::format("unknown --data-place '{}'", text), "Known: auto, device, host");
}

void InputOptions::add_to(CommandLine& line) {
  line.add("augment", augmentation,
           "what becomes of training images: some of crop=PIXELS, flip, erase=PIXELS with commas "
           "between, or none");
  line.add("data-place", place, data_place_help);
}

void InputOptions::apply(TrainSettings& settings) const {
  settings.augmentation = parse_augmentation(augmentation);
  settings.data_place = parse_data_place(place);
  if (settings.augmentation.any() && settings.boost.contributes()) {
    throw UsageError("--augment with --boost: FPGA ranks compute gradients of plain images",
                     "Leave one of them out");
  }
}

}  // namespace dovetail::app
