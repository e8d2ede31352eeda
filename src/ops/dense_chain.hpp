// All of a training step of dense layers one behind the other on NVIDIA's tensor cores: from the
// input to the loss and back to the gradients of the weights, in three or four launches.
#pragma once

#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/batch_source.hpp"
#include "ops/compute_format.hpp"
#include "ops/dense_chain_tiles.hpp"
#include "ops/direction.hpp"
#include "ops/joined_batch.hpp"
#include "ops/normalise_input.hpp"
#include "ops/sum_chunks.hpp"

namespace dovetail {

/// One way to cut a chain's work; 0: as estimated.
struct DenseChainKernels {
  int rows = 0;             // samples of a work-group that goes to the loss and back: 16 or 32
  int part_depth = 0;       // products of a work-group of the first layer, where that is apart
  int groups_per_unit = 0;  // work-groups of the weight gradients for each compute unit

  /// "mma chain, 32 rows", "mma chain, 16 rows, parts of 192", "mma chain, 4 groups a unit"; "mma
  /// chain" as estimated.
  std::string name(Direction direction) const;
};

/// The ways to try for DenseChain::forward_backward and input_gradient (forward) or
/// weight_gradients, the estimated one first. The latter's and other parts change bits.
std::vector<DenseChainKernels> dense_chain_candidates(const DenseChainShape& shape, int batch,
                                                      int compute_units, Direction direction);

/// For devices that take InstructionSet::mma. A ReLU is behind each layer but the last, and softmax
/// cross-entropy behind that. Operands of products are rounded to the format, as Matmul rounds
/// them; sums are float32. Each layer by itself takes six launches and more, which is what a small
/// network's step costs. A first layer that is apart spreads over the device instead: in front of
/// the launch that goes to the loss and back, and behind it for its input's gradient.
class DenseChain {
 public:
  /// Whether there are kernels for it: at least two layers, widths that are multiples of
  /// channel_lanes, each the next one's input, up to dense_chain::most_in but for the first one's,
  /// that fit shared memory together, at most dense_chain::most_classes classes, and a batch whose
  /// maps 31 bits can count.
  static bool fits(const DenseChainShape& shape, int batch);

  /// Builds the kernels for up to `batch` samples. Throws Error with the compiler's log, where the
  /// layers do not fit, or for float32.
  DenseChain(opencl::Device& device, const DenseChainShape& shape, int batch, ComputeFormat format,
             const DenseChainKernels& kernels = {});

  /// Whether forward_backward can make its input from images.
  bool takes_images() const { return shape_.takes_images(); }

  /// Float32 [batch, in], as they are, or made here from images, as NormaliseInput makes them.
  struct Input {
    opencl::Buffer x;
    ImageSource images{};  // without pixels: x is there
    ChannelLaws laws{};
  };
  // Parameters and gradients are all of a network's, not a slice: NVIDIA's driver (580.159.04)
  // crashes where a slice is released after one that spans it.

  /// Forward, loss and the gradients of the layers' outputs, which this object keeps; labels as
  /// LabelLoss has them. row_weights, float32 [batch], multiply each sample's gradient;
  /// an empty Buffer: all 1.
  void forward_backward(const Input& input, const opencl::Buffer& parameters,
                        const LabelSource& labels, const opencl::Buffer& row_weights,
                        const JoinedBatch& batch);
  /// After that, with the same x: the gradients of all weights and biases, at their places in
  /// `gradients`, and the statistics that its cross-entropy has. The order of a sum depends on
  /// batch, widths and the number of compute units.
  void weight_gradients(const opencl::Buffer& x, const opencl::Buffer& gradients,
                        const opencl::Buffer& statistics, const JoinedBatch& batch);
  /// For a chain that propagates, after forward_backward with the same x: dx [batch, in], where
  /// `mask` 0 where x ≤ 0. dx must not be x.
  void input_gradient(const opencl::Buffer& x, const opencl::Buffer& parameters,
                      const opencl::Buffer& dx, const JoinedBatch& batch, bool mask);

  /// float32, as dense_chain::table places them: outputs and their gradients.
  const opencl::Buffer& maps() const { return maps_; }

 private:
  void reserve_partial(int shares);
  /// The first layer's products; returns how many parts each has.
  std::int32_t enqueue_first_layer(const Input& input, const opencl::Buffer& parameters,
                                   const JoinedBatch& batch);

  opencl::Device& device_;
  DenseChainShape shape_;
  DenseChainKernels kernels_;
  int capacity_;
  int compute_units_;
  dense_chain::RowTiles row_tiles_;
  dense_chain::WeightTiles weight_tiles_;
  opencl::Kernel rows_, weight_gradients_;
  opencl::Kernel first_layer_, first_layer_images_, input_gradient_;
  SumChunks sum_chunks_;
  opencl::Buffer table_, maps_, partial_, parts_, losses_, hits_;
};

}  // namespace dovetail
