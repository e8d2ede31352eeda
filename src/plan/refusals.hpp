// What a driver refuses of the kernels in NVIDIA's instructions, whose probes it took: plain
// kernels do that work then.
#pragma once

#include <set>

#include "device/opencl/device.hpp"
#include "plan/tuner.hpp"

namespace dovetail::plan {

/// A kind of work is refused as a whole: a driver that is wrong about one product is not asked for
/// the others.
class Refusals {
 public:
  enum class Kind { convolutions, chains, products };

  bool has(Kind kind) const { return refused_.contains(kind); }

  /// Whether `make` made it. A kernel that does not build, or of which the tuner finds none right,
  /// is refused from now on, with a warning; whatever else is thrown, such as a lack of memory,
  /// says nothing of the driver and goes on to the caller. Where the kind is refused already
  /// nothing is tried.
  template <typename Make>
  bool attempt(const opencl::Device& device, Kind kind, const Make& make) {
    if (has(kind)) return false;
    try {
      make();
      return true;
    } catch (const opencl::BuildFailure& failure) {
      note(device, kind, failure);
    } catch (const NothingComputes& failure) {
      note(device, kind, failure);
    }
    return false;
  }

 private:
  void note(const opencl::Device& device, Kind kind, const Error& failure);

  std::set<Kind> refused_;
};

/// "convolutions", "chains of dense layers", "products of dense layers".
const char* to_string(Refusals::Kind kind);

}  // namespace dovetail::plan
