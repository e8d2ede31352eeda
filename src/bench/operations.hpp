// Benchmarks of the single operations: matrix products and convolutions, all three directions.
#pragma once

#include <string>
#include <vector>

#include "bench/report.hpp"
#include "ops/compute_format.hpp"
#include "ops/variant.hpp"
#include "plan/tuner.hpp"

namespace dovetail::bench {

/// y [rows, out] = x [rows, in] · weight [in, out], and its two gradients.
struct GemmShape {
  int rows = 0, in = 0, out = 0;
};

/// A square convolution with stride 1 on extent × extent feature maps, "same" padding.
struct ConvShape {
  int in = 0, out = 0, extent = 0, batch = 0;
  int kernel = 3;
};

/// What is measured where no shape is given: the products of the model zoo and square ones; the
/// convolutions of the model zoo.
std::vector<GemmShape> default_gemms();
std::vector<ConvShape> default_convs();

/// "ROWSxINxOUT" and "INxOUTxEXTENTxBATCH", as the command line takes them. Throw UsageError.
GemmShape parse_gemm(const std::string& text);
ConvShape parse_conv(const std::string& text);

/// Operands are random numbers: zeros run faster than data on some devices. `direction`: "forward",
/// "input gradient" or "weight gradient" alone; empty: all three. `tuner` chooses the kernels;
/// null: the usual ones of the variant.
void run_gemms(opencl::Device& device, Variant variant, ComputeFormat format,
               const std::vector<GemmShape>& shapes, const std::string& direction,
               plan::Tuner* tuner, Report& report);
void run_convs(opencl::Device& device, Variant variant, ComputeFormat format,
               const std::vector<ConvShape>& shapes, const std::string& direction,
               plan::Tuner* tuner, Report& report);

/// The best rate of 4096³ and 8192³ products in `format`, by the tuner's kernels and with what
/// packs their operands: tensor cores have no ceiling of their own kind in Ceilings.
double best_product_flops(opencl::Device& device, plan::Tuner& tuner, ComputeFormat format);

}  // namespace dovetail::bench
