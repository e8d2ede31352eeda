// An FPGA rank's card and the engines on it, of which one kernel family at a time is loaded.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/placement_options.hpp"
#include "device/xrt/card_slot.hpp"
#include "infer/gradient_step.hpp"
#include "infer/inference.hpp"

namespace dovetail::app {

/// A card holds one xclbin. An engine whose family isn't loaded when it is used has its own loaded
/// in place of the other: that takes milliseconds on the emulated card and seconds on a real one,
/// so ranks are best given formats of one family. The engines must not outlive this.
class CardEngines {
 public:
  /// Opens the card with the family of the first format (of quant::inference_formats()). Throws
  /// Error where the card or that xclbin is of no use, or another format's is missing.
  CardEngines(const RankPlacement& placement, const PlacementOptions& options,
              const std::vector<std::string>& formats);
  ~CardEngines();
  CardEngines(const CardEngines&) = delete;
  CardEngines& operator=(const CardEngines&) = delete;

  std::unique_ptr<infer::Inference> open(const std::string& format);
  /// Throws UsageError for options that cannot work, and Error where the xclbin is missing.
  std::unique_ptr<infer::GradientSource> open_gradients(const infer::GradientOptions& options);

 private:
  class Tenant;
  class InferenceTenant;
  class GradientTenant;

  /// The card with this family on it; turns out the tenants of another.
  fpga::Card& card_with(const std::string& family);

  fpga::CardSlot slot_;
  std::vector<Tenant*> tenants_;
};

}  // namespace dovetail::app
