// How elementwise kernels walk a feature map: one work-group a line of pixels.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// The geometry of a feature map as the kernels read it (their `Map`): all extents in vectors of
/// `lanes` channels. Dimension 0 of a launch counts lines (a line = a row of one image); on CPUs
/// one work-item walks a line, on GPUs its work-items share the line's channel vectors (dimension
/// 1) and columns (dimension 2).
class Lines {
 public:
  enum class Rows { apart, merged };  // merged: without a halo an image is one long line
  /// Throws Error where the channel stride is no multiple of `lanes`.
  Lines(opencl::Device& device, Variant variant, const Layout& layout, int lanes,
        Rows rows = Rows::apart);

  const opencl::Buffer& map() const { return map_; }
  int rows() const { return rows_; }        // lines an image
  int columns() const { return columns_; }  // pixels a line
  int vectors() const { return vectors_; }  // vectors a pixel

  /// One work-group a line.
  opencl::Range groups(int lines) const;
  /// For kernels that sum up slices of several lines, one a work-group: on CPUs of one work-item;
  /// on GPUs vectors lie along dimension 1, and the slice's pixels are shared along dimension 2.
  opencl::Range slice_groups(int slices) const;

 private:
  Variant variant_;
  int rows_;
  int columns_;
  int vectors_;
  opencl::Buffer map_;
};

/// Throws Error unless 1 ≤ batch ≤ capacity.
void expect_batch(int batch, int capacity);

}  // namespace dovetail
