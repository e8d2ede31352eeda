// What a step computes, and what it has to move: the arithmetic and the bytes that no kernel can do
// without.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "model/model.hpp"
#include "plan/plan.hpp"

namespace dovetail::bench {

/// Floating-point operations for one sample; a multiply-add counts two. Convolutions and dense
/// layers alone: the rest is memory traffic.
struct ModelWork {
  double forward = 0;
  double backward = 0;  // weight gradients, and input gradients but for the first layer
};
/// Of all products, as frameworks count them.
ModelWork work_of(const Model& model);
/// Of those that the plan's kernels compute: the gradients of a convolution with its pool visit, on
/// CPU devices, the pool's maxima alone.
ModelWork work_of(const Plan& plan);

/// Of one part of a step: operations as those of work_of(plan), and bytes of device memory where
/// each feature map that the plan stores is read once and written once by who needs it, and each
/// parameter, in float32 without padding. Caches may serve them faster than memory does.
struct PartWork {
  double operations = 0;
  double bytes = 0;
};

/// By the names that a timeline gives the parts ("conv1 forward", "input", "loss", "update" …), for
/// a training step of `batch` samples with SGD and momentum. `held`: images lie on the device.
std::map<std::string, PartWork> work_by_part(const Plan& plan, std::size_t batch, bool held);
/// What kernels for tensor cores do together.
struct TensorCoreFusion {
  std::size_t chain_begin;           // as Plan::chain_begin
  bool first_norm_gradient = false;  // as Plan::makes_first_norm_gradient
};
/// The same if the plan did so.
std::map<std::string, PartWork> work_by_part(const Plan& plan, std::size_t batch, bool held,
                                             const TensorCoreFusion& fusion);

}  // namespace dovetail::bench
