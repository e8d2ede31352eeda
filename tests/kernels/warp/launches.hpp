// The kernels of each case, as write_cases.cpp wrote them out for the host.
#pragma once

#include <vector>

namespace dovetail::warp {

/// The kernel `product`, or `forward` of few channels.
struct ProductLaunch {
  void (*kernel)(const float* source, const float* weight, const float* other,
                 unsigned char* places, float* target, int batch, int finish) = nullptr;
  int threads = 0, shared_bytes = 0;
};
struct WeightLaunch {
  void (*kernel)(const float* x, const float* dy, const unsigned char* places, float* partial,
                 int batch, int tiles_per_chunk) = nullptr;
  int threads = 0, shared_bytes = 0;
};
struct PackLaunch {
  void (*kernel)(const float* weight, float* forward, float* turned) = nullptr;
};
struct Launches {
  ProductLaunch forward, input_gradient;
  WeightLaunch weight_gradient;
  PackLaunch pack;
};

/// One for each of cases().
const std::vector<Launches>& launches();

}  // namespace dovetail::warp
