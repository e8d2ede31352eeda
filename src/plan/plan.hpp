// A model lowered onto one device for one batch size: static memory, one in-order queue of kernels,
// no allocation in a step.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "device/opencl/hosted_buffer.hpp"
#include "device/opencl/input_queue.hpp"
#include "model/model.hpp"
#include "model/optimizer.hpp"
#include "ops/accumulate.hpp"
#include "ops/dense_chain.hpp"
#include "ops/loss.hpp"
#include "ops/magnitudes.hpp"
#include "ops/normalise_input.hpp"
#include "ops/update.hpp"
#include "plan/arena.hpp"
#include "plan/buckets.hpp"
#include "plan/lowering.hpp"
#include "plan/operation.hpp"
#include "plan/options.hpp"
#include "plan/refusals.hpp"
#include "plan/tuner.hpp"
#include "quant/calibration.hpp"
#include "support/host_memory.hpp"

namespace dovetail {

namespace plan {

/// Floats at the end of the reduction: sum of the losses, correct predictions, samples, those of
/// them that the batch statistics are of (contributed gradients come without), and two votes.
inline constexpr std::size_t statistics_elements = 6;

}  // namespace plan

/// What ranks tell each other beside their gradients, so that it costs no message of its own;
/// summed over the ranks it is the same on all of them.
struct StepVotes {
  double stop = 0;        // ranks that were asked to stop
  double checkpoint = 0;  // ranks that want a checkpoint after this step
};

/// Sums over the samples of a step.
struct StepStatistics {
  double loss_sum = 0;
  double correct = 0;
  double samples = 0;
  double normalised = 0;  // of these samples the batch norms' statistics are
  StepVotes votes{};
};

/// This rank's samples of a step.
struct StepSamples {
  std::span<const std::uint8_t> images{};   // [count, channels, height, width]; or instead
  std::span<const std::int32_t> numbers{};  // [count], of images that the plan holds; or instead
  std::optional<std::size_t> place{};       // of the first, in the order that it holds, or in
  std::optional<std::uint64_t> sending{};   // what was sent: Plan::Sending::number
  std::span<const std::int32_t> labels{};   // [count]: 0 to the capacity of a pass
  std::span<const float> weights{};  // [count], of their gradients, not their losses; empty: all 1
  std::uint64_t first = 0;  // numbers the first of them within the training, for dropout and
                            // augmentation
  bool stays = false;  // what the spans show, until the step is done: its copies need no waiting
};

class Plan {
 public:
  /// Throws Error when the device lacks memory or a kernel does not build, UsageError when the
  /// model cannot be lowered.
  Plan(opencl::Device& device, const Model& model, const InputStatistics& input,
       const PlanOptions& options);

  /// Of the reduction that such a plan will have: whoever provides its memory must know before.
  struct ReductionSize {
    std::size_t gradients = 0, all = 0;  // floats
    std::vector<plan::Bucket> buckets;   // as buckets()
  };
  static ReductionSize reduction_size(const opencl::Device& device, const Model& model,
                                      const PlanOptions& options);

  const Model& model() const { return model_; }
  /// Whether operands are rounded to the format by passes of their own, where the device has no
  /// instructions for it.
  bool emulates_format() const;
  /// How the model's layers were joined.
  std::vector<plan::Step> steps() const { return lower().steps; }
  /// What timelines call the operations of steps().
  const std::vector<std::string>& operation_names() const { return names_; }
  /// Whether the first convolution makes its output's gradient of that of the batch norm behind,
  /// which then moves no map backward.
  bool makes_first_norm_gradient() const { return edges_.size() > 1 && edges_[1].norm_gradient; }
  /// The first of the operations that training runs as one chain of dense layers, whose part is
  /// called chain_name, and not one by one; their number where none are.
  std::size_t chain_begin() const { return chain_ ? chain_begin_ : names_.size(); }
  static constexpr const char* chain_name = "dense layers";
  /// Whether the gradients of a convolution with its pool visit the pool's maxima alone.
  bool visits_maxima() const { return variant_ == Variant::cpu; }
  /// Whether a step of so many passes of one size has its launches once, not once a pass.
  bool joins_passes(const JoinedBatch& batch) const;
  /// Samples of the largest pass.
  std::size_t capacity() const { return static_cast<std::size_t>(options_.batch); }
  /// Lowers the model again for passes of so many samples, at least 1; waits for the device.
  /// Parameters, optimiser state, statistics and held images stay as they are, and so do the
  /// choices of a tuner with a PlanOptions::tuned_batch. Not while buckets are handed over. Returns
  /// why it cannot be, such as a lack of memory, and then the plan is as it was; else nothing.
  /// Throws Error where it cannot even be that.
  std::string set_capacity(std::size_t samples);

  // ---- parameters, in the canonical layouts of Model::parameters() and Model::statistics()
  void load_parameters(const std::vector<Parameter>& parameters);
  std::vector<Parameter> parameters();
  void load_statistics(const std::vector<Parameter>& statistics);
  std::vector<Parameter> statistics() const { return running_; }
  /// One set of tensors per OptimizerSettings::state_slots(), shaped as the parameters.
  void load_optimizer_state(const std::vector<std::vector<Parameter>>& state);
  std::vector<std::vector<Parameter>> optimizer_state();
  /// Sets the steps of quantised activations to 2 ⟨max(0, x)⟩ / √highest (Esser et al. 2020,
  /// section 2.1) for `count` images (1 to the capacity), front to back with batch statistics.
  void initialise_steps(std::span<const std::uint8_t> images, std::size_t count);

  // ---- images
  /// Makes room for the images of a data set, which then stay on the device, in the place of those
  /// and of the order that it held. Throws Error when it lacks memory.
  void hold_images(std::size_t samples);
  /// Gives that room back.
  void drop_images();
  /// Those of sample `first` and the ones after it.
  void write_images(std::size_t first, std::span<const std::uint8_t> images);
  bool holds_images() const { return held_samples_ > 0; }
  /// An order of these images with their labels, [count] each, in which steps may take them
  /// (StepSamples::place), so that nothing goes to the device in a step: in the place of the last
  /// one, which the steps that are enqueued still see. Until the mark that it returns what the
  /// spans show must stay as it is. Throws Error for numbers of images that are not there.
  opencl::Mark hold_order(std::span<const std::int32_t> numbers,
                          std::span<const std::int32_t> labels);
  /// How many steps of so many samples should be sent together; 0 where steps should bring their
  /// own samples, because nothing is copied beside the kernels.
  std::size_t steps_together(std::size_t samples) const;
  /// Makes room for sendings of so many samples, at least three of them; what was sent before is
  /// lost. Throws Error when the device lacks memory.
  void make_room_to_send(std::size_t samples);
  /// Samples on their way to the device.
  struct Sending {
    std::uint64_t number = 0;
    opencl::Mark copied;
  };
  /// Sends samples ahead of the steps that take them (StepSamples::sending), beside the kernels;
  /// never waits. Until `copied` what the spans show must stay as it is. Sendings are taken in
  /// their order, and at most two may be under way beside the one that is being taken: those before
  /// it may be lost. Throws Error for more than there is room for.
  Sending send(std::span<const std::uint8_t> images, std::span<const std::int32_t> labels);
  /// So far; they are numbered from 0.
  std::uint64_t sendings() const { return sendings_; }
  /// Where the images and labels of steps are to lie so that they go to the device while kernels
  /// run; null where it makes no difference.
  HostMemory sample_memory() const { return pinned_; }

  // ---- training
  /// Enqueues forward, loss and backward of `labels.size()` samples (0 to the capacity). Gradients
  /// are sums over the samples. The arguments are those of StepSamples. It may begin as late as an
  /// enqueue_step without hand_over.
  void enqueue_gradients(std::span<const std::uint8_t> images, std::span<const std::int32_t> labels,
                         std::uint64_t first_sample, std::span<const float> weights = {});
  /// The same for a step of several passes, the next `sizes[i]` samples each (0 to the capacity; a
  /// power of two of them), whose sums are added up by pairs of neighbours: the first with the
  /// second, the third with the fourth, then the pairs, and so on. Passes of one size run in one
  /// launch where joins_passes(); that changes no bit.
  /// @param hand_over each bucket begins its way to the host when it is finished, while the
  /// backward pass goes on. All must be returned before anything else is done. Without, a step
  /// whose samples are not copied beside the kernels may not begin before something else is
  /// enqueued and flushed, such as the update, or waited for, such as map_reduction().
  void enqueue_step(const StepSamples& samples, std::span<const std::size_t> sizes, bool hand_over);
  /// The reduction's ranges in the order in which they are handed over: gradients from the last
  /// layer's on, then batch statistics, loss and counts, which the last bucket holds alone.
  const std::vector<plan::Bucket>& buckets() const { return buckets_; }
  bool bucket_arrived(std::size_t bucket);
  void await_bucket(std::size_t bucket);
  /// The reduction in the host; only buckets that have arrived, by bucket_arrived or await_bucket,
  /// may be touched.
  std::span<float> reduction() const { return memory_.host(); }
  /// Whether reduction() may still be read when its buckets are returned.
  bool keeps_reduction() const { return memory_.is_copied(); }
  /// Hands a bucket back to the device, for the update, which is enqueued when all are. The last
  /// one is for the host alone: what became of it there stays there.
  void return_bucket(std::size_t bucket) {
    if (bucket + 1 == buckets_.size()) {
      memory_.let_go(bucket);
    } else {
      memory_.give_back(bucket);
    }
  }
  /// When the buckets of the newest returned step were on their way, as HostedBuffer::take_trips.
  std::vector<opencl::HostedBuffer::Trip> take_trips() { return memory_.take_trips(); }
  /// Waits for what was not handed over and shows all that has to be summed over the ranks:
  /// gradients (times the loss scale), batch statistics, loss and counts.
  opencl::Mapping map_reduction();
  /// Sets this rank's votes in a mapped reduction; without that there are none.
  void vote(std::span<float> reduction, const StepVotes& votes) const;
  /// Whether all of a mapped reduction are finite numbers: one pass over it.
  static bool all_finite(std::span<const float> reduction);
  /// The first parameter, in the network's order, whose gradient in a mapped reduction holds NaN or
  /// an infinity; "the loss" or "the batch statistics" where no gradient does but they do; empty
  /// where all are finite.
  std::string first_not_finite(std::span<const float> reduction) const;
  /// From the next enqueue_gradients on, gradients are computed `scale` times as large, against
  /// underflow in fp16. Whoever sees them outside of a reduction sees them unscaled; the same on
  /// all ranks whose reductions are added. `steps`: since it last changed.
  void set_loss_scale(float scale, std::uint64_t steps = 0);
  float loss_scale() const { return loss_scale_; }
  /// The gradients in a mapped reduction, in canonical layouts, one parameter after the other.
  std::vector<float> gradients(std::span<const float> reduction) const;
  /// Gradients that were computed elsewhere, laid out like those of gradients(), in the reduction's
  /// order: [gradient_elements()], zeros in the gaps.
  std::vector<float> in_reduction_order(std::span<const float> gradients) const;
  /// Adds `weight` times what falls into a bucket of the reduction: of such gradients, and with the
  /// last bucket of the sums over their samples.
  void add_to_bucket(const plan::Bucket& bucket, std::span<float> reduction,
                     std::span<const float> in_order, const StepStatistics& sums,
                     double weight) const;
  /// The same to a whole reduction; gradients as those of gradients().
  void add_gradients(std::span<float> reduction, std::span<const float> gradients,
                     const StepStatistics& sums, double weight) const;
  /// What the mapped (and meanwhile summed) reduction says of the whole step.
  StepStatistics step_statistics(std::span<const float> reduction) const;
  /// Enqueues the update with the mean gradient of `statistics.samples` samples; `step` counts
  /// from 1. `reduction` is the summed one: the running statistics follow it.
  /// With a `record`, where records_updates(), it leaves there what RecordSums says of
  /// sums_on_device().
  void enqueue_update(float learning_rate, const StepStatistics& statistics, std::uint64_t step,
                      const opencl::Buffer& record = {});
  /// The same with a `record` that RecordSums has made of sums_on_device(), before the host knows
  /// it: nothing is updated where a gradient is not finite, and the loss scale follows on the
  /// device as LossScale says. The host is to say what it has become, by note_loss_scale.
  void enqueue_scaled_update(float learning_rate, const StepStatistics& statistics,
                             std::uint64_t step, const opencl::Buffer& record);
  void note_loss_scale(float scale) { loss_scale_ = scale; }
  /// Whether updates can, but scaled ones; on CPU devices a look of its own costs less.
  bool records_updates() const { return variant_ != Variant::cpu; }
  /// Folds the summed batch statistics of `samples` samples (StepStatistics::normalised) into the
  /// running ones; call while the reduction is mapped.
  void update_running_statistics(std::span<const float> reduction, double samples);

  // ---- the sums of a rank that trains alone (plan/steps_ahead.hpp)
  /// Where enqueue_step leaves them: gradients, then the last bucket.
  const opencl::Buffer& sums_on_device() const { return reduction_; }
  std::size_t gradient_elements() const { return arena_.elements(); }
  /// What `rest`, the last bucket as the device left it after a step, says of that step.
  /// `are_sums`: the step had several passes. The batch statistics become sums over the samples.
  StepStatistics finish_alone(std::span<float> rest, bool are_sums) const;
  /// As update_running_statistics; `rest` as finish_alone has left it.
  void fold_statistics(std::span<const float> rest, double samples);
  /// As first_not_finite, where `gradient` is the first broken element of the gradients, if any.
  std::string name_not_finite(std::optional<std::size_t> gradient,
                              std::span<const float> rest) const;

  // ---- inference
  /// Logits [count, classes] of `images`, uint8 [count, channels, height, width], any count.
  std::vector<float> infer(std::span<const std::uint8_t> images, std::size_t count);
  /// Largest |value| that each fused operation put out for these images, by the index of its last
  /// model layer, and that of the normalised input. Layers that were fused into a later one hold 0;
  /// here pools are not.
  struct Ranges {
    float input = 0;
    std::vector<float> layers;
    std::vector<quant::Histogram> histograms{};  // of the same values, one a layer; or none
  };
  Ranges output_ranges(std::span<const std::uint8_t> images, std::size_t count);

 private:
  /// What a pass reads from the host.
  struct Inputs {
    std::size_t room = 0;  // samples
    opencl::Buffer images, numbers, labels, row_weights;
    bool has_weights = false;  // of its samples, in row_weights
    ImageSource image_source;  // these, or some of those held
    LabelSource label_source;
  };
  /// What a step's passes read where that is copied while the kernels of earlier steps run. Steps
  /// take slots in turns.
  struct InputSlot {
    std::vector<Inputs> passes;
    opencl::Mark copied;  // for the newest step that had it
    opencl::Mark read;    // by that step's kernels
  };

  /// A place for what is sent.
  struct Sent {
    opencl::Buffer images, labels;
    std::optional<std::uint64_t> number;
    std::size_t count = 0;
    opencl::Mark copied;  // empty once no kernel needs to wait
    opencl::Mark read;    // by the steps that took from it
  };

  struct Norm {
    plan::NormStatistics statistics;
    std::size_t running = 0;  // index of the mean in Model::statistics(); the variance follows it
    std::size_t mean_offset = 0, variance_offset = 0;  // in floats, within the reduction
    std::size_t channels = 0;
    std::size_t samples_per_image = 0;
    float momentum = 0.1f;
    /// From the biased variance of so many images to the unbiased one.
    float unbias(float images) const {
      const float count = images * static_cast<float>(samples_per_image);
      return count > 1 ? count / (count - 1) : 1;
    }
  };

  /// A quantised activation's step: a slot of the parameters, or memory of its own.
  struct Step {
    std::size_t layer = 0;  // of the model
    int highest = 1;
    opencl::Buffer value;
    std::optional<std::size_t> statistic;  // fixed: index in Model::statistics()
  };

  Plan(opencl::Device& device, const Model& model, const InputStatistics& input,
       const PlanOptions& options, const plan::Lowered& lowered);
  static plan::Lowered lower(const opencl::Device& device, const Model& model,
                             const PlanOptions& options, bool convolves_on_tensor_cores);
  plan::Lowered lower() const {
    return lower(device_, model_, options_, convolves_on_tensor_cores());
  }
  /// Whether the device takes kernels for tensor cores, as far as its probe says.
  static bool on_tensor_cores(const opencl::Device& device, const PlanOptions& options);
  /// Whether convolutions take the kernels of Conv2dMma, where they fit.
  bool convolves_on_tensor_cores() const {
    return on_tensor_cores(device_, options_) && !refusals_.has(plan::Refusals::Kind::convolutions);
  }
  /// Samples that there is room for at once: those of all passes where they may be joined.
  static int room_of(const Model& model, const PlanOptions& options);
  int room() const { return edges_.front().layout.batch; }
  void make_edges(const plan::Lowered& lowered);
  static plan::Arena arena_of(std::size_t alignment, const Model& model,
                              const plan::Lowered& lowered);
  /// The batch norms' statistics and the loss's lie behind the gradients, with which they are
  /// summed over the ranks. Adds the places to `norms`, returns the loss's.
  static std::size_t reserve_statistics(const Model& model, plan::Arena& reduction,
                                        std::vector<Norm>& norms);
  static std::vector<plan::Bucket> buckets_of(const plan::Arena& arena, std::size_t all,
                                              const plan::Lowered& lowered,
                                              std::size_t bucket_bytes);
  void make_slots(const plan::Lowered& lowered);
  /// Memory for the batch statistics of each of several passes that are joined.
  void make_pass_statistics();
  /// Operations and loss, where the edges are there; the loss is the last to come.
  void make_layers(const plan::Lowered& lowered);
  /// What depends on the capacity.
  void drop_layers();
  /// False where convolutions are refused: the model is to be lowered again.
  bool make_operations(const plan::Lowered& lowered);
  void make_numbers();
  std::vector<Inputs> make_inputs();
  void make_input_slots();
  /// Where the samples go; null: to inputs_, in turn with the kernels.
  InputSlot* next_slot(const StepSamples& samples);
  /// Writes a pass's input, in the slot's queue where there is one.
  void write_input(InputSlot* slot, const opencl::Buffer& buffer, const void* source,
                   std::size_t bytes, bool stays);
  /// Before the first kernel of a step, and after the last.
  void begin_reading(InputSlot* slot);
  const Sent& begin_reading(std::uint64_t number);
  void end_step(InputSlot* slot, bool hand_over);
  /// Takes images and labels from what was sent, or from the order that is held.
  void take_place(Inputs& inputs, const StepSamples& samples);
  void lower_again();
  /// What chooses kernels; null where a variant is asked for.
  plan::Tuner* tuner() const { return options_.variant ? nullptr : options_.tuner; }
  /// The same for kernels that add in orders of their own.
  plan::Tuner* free_tuner() const { return options_.same_bits ? nullptr : tuner(); }
  int tuned_batch() const { return options_.same_bits ? room() : usual_batch(); }
  /// Of a pass, whatever share of a step this rank has at present.
  int usual_batch() const {
    return options_.tuned_batch > 0 ? options_.tuned_batch : options_.batch;
  }
  /// Whether the batch norm behind a convolution is to have its statistics from there.
  bool takes_statistics(const plan::Step& step) const;
  /// Whether the convolution that reads `in` is to make its output's gradient from that of the
  /// batch norm behind.
  bool takes_norm_gradient(const plan::Edge& in) const;
  /// Null where the driver refuses what the convolution was lowered for.
  std::unique_ptr<plan::Operation> make_convolution(const plan::Step& step, plan::Edge& in,
                                                    plan::Edge& out);
  std::unique_ptr<plan::Operation> make_norm(const plan::Step& step, plan::Edge& in,
                                             plan::Edge& out, float epsilon,
                                             const plan::NormStatistics& statistics);
  std::unique_ptr<plan::Operation> make_dense(const plan::Step& step, plan::Edge& in,
                                              plan::Edge& out);
  /// `norm_index` counts the batch norms that were made before. Null as make_convolution's.
  std::unique_ptr<plan::Operation> make_operation(const plan::Step& step, plan::Edge& in,
                                                  plan::Edge& out, std::size_t& norm_index);
  void make_loss();
  void enqueue_update(float learning_rate, float gradient_scale, std::uint64_t step,
                      const BesideUpdate& beside);
  /// The dense layers from operation `first` to the last one, whose parameters end the arena.
  std::optional<DenseChainShape> chain_from(const plan::Lowered& lowered, std::size_t first) const;
  /// As many of the last layers as DenseChain takes for training, in this plan's options.
  void make_chain(const plan::Lowered& lowered);
  plan::DeviceParameter device_parameter(const std::string& name) const;
  /// The layer's bias; where it has none, zeros, and scratch memory for the gradient.
  plan::DeviceParameter bias_of(const PlacedLayer& placed, bool has_bias);
  plan::OperationWeight weight_of(const PlacedLayer& placed, const WeightMatrix& matrix,
                                  const std::optional<WeightLaw>& law) const;
  /// The step of the quantised activation `layer`; an empty one where the law is binary.
  plan::DeviceParameter step_of(const layer::QuantisedActivation& activation, std::size_t layer);
  /// The images must stay as they are until what is computed of them has been waited for.
  void upload_input(std::span<const std::uint8_t> images, std::size_t count);
  void upload(Inputs& inputs, const StepSamples& samples, InputSlot* slot);
  /// Throws Error unless the plan holds images of these numbers, of which there is one at least.
  void expect_held(std::span<const std::int32_t> numbers) const;
  void normalise(const plan::Pass& pass, const Inputs& inputs);
  /// The input and the first `count` operations.
  void forward(const plan::Pass& pass, const Inputs& inputs, std::size_t count);
  /// Forward and loss; the gradient of the logits is then there.
  void forward_and_loss(const plan::Pass& pass, const Inputs& inputs, bool weighed);
  void chain_backward(const plan::Pass& pass);
  /// All of one pass; without samples its gradients are zeros.
  void enqueue_pass(const plan::Pass& pass, const Inputs& inputs, bool weighed, std::size_t number,
                    std::size_t passes, bool hand_over);
  /// A step's passes as one batch, where it has several that can be joined.
  std::optional<JoinedBatch> joined(std::span<const std::size_t> sizes, std::size_t samples) const;
  /// The batch statistics of a pass as sums over its samples, on the device.
  void weigh_batch_statistics(std::size_t samples);
  /// Says what each value counts in fold_pass_statistics, where that is new.
  void weigh_pass_statistics(const JoinedBatch& batch);
  /// The statistics of joined passes, summed into the reduction.
  void fold_pass_statistics(const JoinedBatch& batch);
  /// Adds the partial sums of all passes before the last one, `number`, within a bucket.
  void add_partial_sums(std::size_t number, std::size_t bucket);
  void make_partial_sums(std::size_t passes);
  /// Of the last bucket when it has arrived, once: batch statistics become sums, votes none.
  /// `are_sums`: weigh_batch_statistics was enqueued.
  void finish_statistics(std::span<float> rest, bool are_sums) const;
  StepStatistics statistics_of(std::span<const float> rest) const;
  /// Whether the gradients of such samples' losses are weighed.
  bool weighs(const StepSamples& samples) const { return !samples.weights.empty() || scales_[0]; }
  void make_weights();
  /// The directions in which a layer with weights will be used.
  std::vector<Direction> directions_of(const plan::Edge& in) const;
  /// Visits `images` in pieces of at most the capacity: body(first, count).
  template <typename Body>
  void in_batches(std::span<const std::uint8_t> images, std::size_t count, Body&& body);

  opencl::Device& device_;
  Model model_;
  PlanOptions options_;
  Variant variant_;
  InputStatistics input_;
  std::unique_ptr<Plan> unfused_;  // made when output_ranges first needs one

  plan::Arena arena_;
  std::size_t reduction_elements_ = 0;
  std::size_t statistics_offset_ = 0;
  opencl::HostedBuffer memory_;  // of the reduction
  opencl::Buffer parameters_, reduction_, gradients_;
  std::vector<plan::Bucket> buckets_;
  bool statistics_are_sums_ = false;              // weigh_batch_statistics was enqueued
  std::vector<opencl::Buffer> partial_sums_;      // of 1, 2, 4 … passes
  std::optional<Accumulate> accumulate_;          // made when a step first has several passes
  opencl::Buffer pass_values_;                    // batch statistics of each pass that is joined
  std::vector<Accumulate::Source> pass_sources_;  // of the elements between gradients and losses
  opencl::Buffer pass_sources_on_device_;
  int weighed_for_ = 0;  // samples of a pass that pass_sources_ are for
  std::vector<opencl::Buffer> state_;
  std::vector<Parameter> running_;
  std::vector<Norm> norms_;
  std::vector<Step> steps_;

  std::vector<Inputs> inputs_;  // by pass
  HostMemory pinned_;           // where steps' samples are copied beside the kernels
  std::optional<opencl::InputQueue> input_queue_;
  std::vector<InputSlot> input_slots_;  // made when a step first has images
  std::size_t next_slot_ = 0;
  std::vector<Sent> sent_;  // sendings take them in turns
  std::uint64_t sendings_ = 0;
  std::optional<std::uint64_t> reading_;  // by the newest step
  opencl::Buffer sent_numbers_;           // 0, 1, 2 … as kernels want them to begin within images
  opencl::Buffer loss_statistics_;
  opencl::Buffer held_images_;  // uint8 [held_samples_, channels, height, width]
  std::size_t held_samples_ = 0;
  struct HeldOrder {
    opencl::Buffer samples, labels;  // int32 [count], or more
    std::size_t count = 0;
  };
  HeldOrder held_order_;
  std::vector<plan::Edge> edges_;
  NormaliseInput normalise_;
  std::vector<std::unique_ptr<plan::Operation>> operations_;
  plan::Refusals refusals_;          // stay when the model is lowered again
  std::vector<std::string> names_;   // of the operations, for timelines
  std::optional<DenseChain> chain_;  // for training steps, in place of the last ones and the loss
  std::size_t chain_begin_ = 0;      // the first operation in whose place it is
  std::optional<LabelLoss> loss_;
  std::optional<WeighRows> weigh_rows_;   // made when weights first come
  std::optional<Magnitudes> magnitudes_;  // made when output_ranges first counts
  std::optional<Update> update_;
  float loss_scale_ = 1;
  // On the device, where one was ever set: the one that holds, then room for the next.
  std::array<opencl::Buffer, 2> scales_;
};

}  // namespace dovetail
