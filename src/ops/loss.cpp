// Launches the losses.
#include "ops/loss.hpp"

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {
namespace {

constexpr int usual_batch = 4096;

std::size_t items_of(Variant variant) {
  return variant == Variant::cpu ? 1 : 32;
}

int checked_columns(int columns, int stride) {
  if (columns < 1 || columns > stride || stride % channel_lanes != 0) {
    throw Error(fmt::format("a loss over {} columns of rows of {} floats", columns, stride),
                fmt::format("Rows are padded to a multiple of {}", channel_lanes));
  }
  return columns;
}

opencl::Program build(opencl::Device& device, Variant variant) {
  return device.build(kernels::loss, {fmt::format("ITEMS={}", items_of(variant))});
}

}  // namespace

RowSums::RowSums(opencl::Device& device, const opencl::Program& program, std::size_t work_items)
    : device_(device),
      work_items_(work_items),
      sum_rows_(program.kernel(kernels::loss_::sum_rows)) {
  reserve(usual_batch);
}

void RowSums::reserve(int batch) {
  if (batch < 1) throw Error(fmt::format("a loss over a batch of {}", batch));
  if (batch <= capacity_) return;
  capacity_ = round_up(batch, channel_lanes);
  const std::size_t bytes = static_cast<std::size_t>(capacity_ + channel_lanes) * sizeof(float);
  losses_ = device_.allocate(bytes);
  hits_ = device_.allocate(bytes);
}

opencl::Range RowSums::groups(int rows) const {
  return {.global = {static_cast<std::size_t>(rows) * work_items_, 1, 1},
          .local = {work_items_, 1, 1}};
}

void RowSums::sum_into(const opencl::Buffer& statistics, const JoinedBatch& batch) {
  device_.launch(sum_rows_, groups(1), losses_, hits_, statistics, std::int32_t{batch.each},
                 std::int32_t{batch.passes});
}

LabelLoss::LabelLoss(opencl::Device& device, Variant variant, const kernels::Entry& entry,
                     int columns, int stride)
    : device_(device),
      columns_(checked_columns(columns, stride)),
      stride_(stride),
      program_(build(device, variant)),
      sums_(device, program_, items_of(variant)),
      kernel_(program_.kernel(entry)) {}

LabelLoss LabelLoss::cross_entropy(opencl::Device& device, Variant variant, int columns,
                                   int stride) {
  return {device, variant, kernels::loss_::softmax_cross_entropy, columns, stride};
}

LabelLoss LabelLoss::squared_error(opencl::Device& device, Variant variant, int columns,
                                   int stride) {
  return {device, variant, kernels::loss_::mean_squared_error, columns, stride};
}

void LabelLoss::forward_backward(const opencl::Buffer& rows, const LabelSource& labels,
                                 const opencl::Buffer& gradient, const opencl::Buffer& statistics,
                                 const JoinedBatch& batch) {
  sums_.reserve(batch.samples());
  device_.launch(kernel_, sums_.groups(batch.samples()), rows, labels.labels, labels.first,
                 gradient, sums_.losses(), sums_.hits(), columns_, stride_);
  sums_.sum_into(statistics, batch);
}

WeighRows::WeighRows(opencl::Device& device, Variant variant, int stride)
    : device_(device),
      work_items_(items_of(variant)),
      stride_(checked_columns(stride, stride)),
      program_(build(device, variant)),
      kernel_(program_.kernel(kernels::loss_::weigh_rows)),
      scale_(program_.kernel(kernels::loss_::scale_weights)) {}

void WeighRows::run(const opencl::Buffer& gradient, const opencl::Buffer& weights, int batch) {
  const opencl::Range rows{.global = {static_cast<std::size_t>(batch) * work_items_, 1, 1},
                           .local = {work_items_, 1, 1}};
  device_.launch(kernel_, rows, gradient, weights, stride_);
}

void WeighRows::scale(const opencl::Buffer& weights, int batch, const opencl::Buffer& scale,
                      bool are_new) {
  constexpr std::size_t group = 64;
  const std::size_t items = (static_cast<std::size_t>(batch) + group - 1) / group * group;
  device_.launch(scale_, {.global = {items, 1, 1}, .local = {group, 1, 1}}, weights,
                 std::int32_t{batch}, std::int32_t{are_new ? 1 : 0}, scale);
}

}  // namespace dovetail
