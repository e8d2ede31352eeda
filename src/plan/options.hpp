// What a plan is to do with a model, and how.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "device/opencl/hosted_buffer.hpp"
#include "model/optimizer.hpp"
#include "ops/augmentation.hpp"
#include "ops/compute_format.hpp"
#include "ops/variant.hpp"
#include "plan/tuner.hpp"

namespace dovetail {

/// Per-channel mean and standard deviation of x / 255, from the data set's manifest.
struct InputStatistics {
  std::vector<float> mean;
  std::vector<float> deviation;
};

/// How the samples of a training step go to the device.
enum class UploadWay {
  in_turn,    // in the kernels' queue: no kernel runs meanwhile
  overlapped  // in a queue of their own, while the kernels of earlier steps run
};

struct PlanOptions {
  int batch = 1;            // capacity of a pass; it may bring fewer samples
  int passes = 1;           // most passes of a step: a power of two
  int step_passes = 1;      // of a step on all ranks
  bool join_passes = true;  // where the device's kernels take several in one launch
  bool training = false;    // gradients and optimiser state are allocated
  LossKind loss = LossKind::cross_entropy;
  OptimizerSettings optimizer{};
  std::uint64_t seed = 0;            // of the dropout masks
  std::optional<Variant> variant{};  // by default the one for the device, or the tuner's choice
  ComputeFormat format = ComputeFormat::float32;  // of the operands of products
  Augmentation augmentation{};                    // of the images of training steps
  plan::Tuner* tuner = nullptr;                   // chooses kernels by measurement
  bool same_bits = false;        // the tuner chooses only among kernels that give the same bits
  int tuned_batch = 0;           // samples that it chooses for; 0: batch
  std::size_t bucket_bytes = 0;  // of gradients that are handed over; 0: all
  /// Memory for the host's side of the reduction, as of HostedBuffer; Plan::reduction_elements.
  std::span<float> reduction_memory{};
  /// Maps that nobody else asks for are nowhere, where there are kernels for it: those between a
  /// convolution or batch norm and its max-pool, and those between a batch norm and a convolution.
  bool fuse_maps = true;
  /// Of these the map between a batch norm and a convolution on a GPU, which then does the batch
  /// norm as it reads; by default on tensor cores alone: elsewhere a step took longer so.
  std::optional<bool> norms_as_read{};
  /// How the reduction goes there; by default the device's way.
  std::optional<opencl::HostedBuffer::Way> reduction_way{};
  /// How images do; by default overlapped where the device is no CPU.
  std::optional<UploadWay> upload_way{};

  /// Whether what a batch norm sums up may be cut as the convolutions beside it are: joined passes
  /// have laws of their own, and ranks with several passes must have the bits of ranks with one.
  bool norms_may_join_convolutions() const { return passes == 1 && !same_bits; }
};

}  // namespace dovetail
