// Remembers what was refused, and says so once.
#include "plan/refusals.hpp"

#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::plan {

const char* to_string(Refusals::Kind kind) {
  switch (kind) {
    case Refusals::Kind::convolutions:
      return "convolutions";
    case Refusals::Kind::chains:
      return "chains of dense layers";
    case Refusals::Kind::products:
      return "products of dense layers";
  }
  return "?";
}

void Refusals::note(const opencl::Device& device, Kind kind, const Error& failure) {
  refused_.insert(kind);
  log::warn_of_host(fmt::format(
      "{}: {} in NVIDIA's instructions are out: {}. Plain kernels do their work; "
      "{} can leave the others untried",
      device.info().name, to_string(kind), failure.what(), opencl::instructions_variable));
}

}  // namespace dovetail::plan
