// Names of the architectures.
#include "cost/estimate.hpp"

namespace dovetail::cost {

const char* to_string(Architecture architecture) {
  return architecture == Architecture::engine ? "engine" : "pipeline";
}

}  // namespace dovetail::cost
