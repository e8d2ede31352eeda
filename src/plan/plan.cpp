// Runs a plan: parameters in and out, updates, inference.
#include "plan/plan.hpp"

#include <algorithm>
#include <bit>
#include <exception>

#include "support/error.hpp"
#include "support/log.hpp"
#include "support/timeline.hpp"

namespace dovetail {

using plan::Edge;
using plan::Pass;

namespace {

/// Calls visit(row of values) for every line of the first `count` images' interiors.
template <typename Visit>
void for_each_line(const Layout& layout, std::span<const float> values, int count, Visit visit) {
  for (int n = 0; n < count; ++n) {
    for (int y = 0; y < layout.height; ++y) {
      visit(values.subspan(layout.index(n, y, 0, 0), extent(layout.width * layout.channel_stride)));
    }
  }
}

/// Mean of max(0, value) over the interior of the first `count` images.
double mean_positive_part(const Layout& layout, std::span<const float> values, int count) {
  double sum = 0;  // padding lanes are zero
  for_each_line(layout, values, count, [&](std::span<const float> line) {
    for (const float value : line) sum += value > 0 ? static_cast<double>(value) : 0.0;
  });
  return sum / (static_cast<double>(count) * layout.channels * layout.height * layout.width);
}

/// While images are read that their owner takes back: a failure waits for their copy first.
class ReadImages {
 public:
  explicit ReadImages(opencl::Device& device) : device_(device) {}
  ~ReadImages() {
    if (std::uncaught_exceptions() == failures_) return;
    try {
      device_.finish();
    } catch (const std::exception& failure) {
      log::error(failure.what());
    }
  }
  ReadImages(const ReadImages&) = delete;
  ReadImages& operator=(const ReadImages&) = delete;

 private:
  opencl::Device& device_;
  int failures_ = std::uncaught_exceptions();
};

}  // namespace

void Plan::load_parameters(const std::vector<Parameter>& parameters) {
  const std::vector<float> image = arena_.scatter(parameters);
  if (!options_.training)
    for (const auto& operation : operations_) operation->keep_weight();
  device_.write(parameters_, image.data(), image.size() * sizeof(float));
}

std::vector<Parameter> Plan::parameters() {
  return arena_.gather(device_.map(parameters_, opencl::Access::read).as<float>());
}

void Plan::load_optimizer_state(const std::vector<std::vector<Parameter>>& state) {
  if (state.size() != state_.size()) {
    throw Error(fmt::format("{} optimiser states do not fit an optimiser with {}", state.size(),
                            state_.size()));
  }
  for (std::size_t i = 0; i < state.size(); ++i) {
    const std::vector<float> image = arena_.scatter(state[i]);
    device_.write(state_[i], image.data(), image.size() * sizeof(float));
  }
}

std::vector<std::vector<Parameter>> Plan::optimizer_state() {
  std::vector<std::vector<Parameter>> state;
  for (const opencl::Buffer& buffer : state_) {
    state.push_back(arena_.gather(device_.map(buffer, opencl::Access::read).as<float>()));
  }
  return state;
}

void Plan::load_statistics(const std::vector<Parameter>& statistics) {
  running_ = statistics;
  for (std::size_t i = 0; i < norms_.size(); ++i) {
    const auto put = [&](const opencl::Buffer& buffer, const std::vector<float>& values) {
      std::vector<float> padded(buffer.bytes() / sizeof(float), 0.0f);
      std::copy(values.begin(), values.end(), padded.begin());
      device_.write(buffer, padded.data(), buffer.bytes());
    };
    put(norms_[i].statistics.running_mean, running_.at(norms_[i].running).value.values);
    put(norms_[i].statistics.running_variance, running_.at(norms_[i].running + 1).value.values);
  }
  for (const Step& step : steps_) {
    if (step.statistic)
      device_.write(step.value, running_.at(*step.statistic).value.values.data(), sizeof(float));
  }
}

void Plan::initialise_steps(std::span<const std::uint8_t> images, std::size_t count) {
  if (steps_.empty()) return;
  const Pass pass{.batch = static_cast<int>(count), .training = true};
  const ReadImages read(device_);
  upload_input(images, count);
  normalise_.forward(inputs_.front().image_source, edges_.front().value, pass.batch);
  for (const auto& operation : operations_) {
    const auto step = std::find_if(steps_.begin(), steps_.end(), [&](const Step& candidate) {
      return candidate.layer == operation->last_layer();
    });
    if (step != steps_.end()) {
      double mean = 0;
      {
        const opencl::Mapping mapping = device_.map(operation->in().value, opencl::Access::read);
        mean = mean_positive_part(operation->in().layout, mapping.as<float>(), pass.batch);
      }
      const double root = std::sqrt(static_cast<double>(step->highest));
      const auto first =
          std::max(static_cast<float>(2 * mean / root), numeric::least_activation_step);
      device_.write(step->value, &first, sizeof first);
      if (step->statistic) running_[*step->statistic].value.values = {first};
    }
    operation->forward(pass);
  }
  device_.finish();
}

void Plan::upload_input(std::span<const std::uint8_t> images, std::size_t count) {
  Inputs& inputs = inputs_.front();
  device_.write_later(inputs.images, images.data(), count * extent(model_.input().size()));
  inputs.image_source = {inputs.images};
}

void Plan::normalise(const Pass& pass, const Inputs& inputs) {
  opencl::Buffer& input = edges_.front().value;
  const timeline::Part part("input");
  if (pass.training) {
    normalise_.forward_augmented(inputs.image_source, input, pass.batch, pass.seed,
                                 pass.first_sample);
  } else {
    normalise_.forward(inputs.image_source, input, pass.batch);
  }
}

void Plan::forward(const Pass& pass, const Inputs& inputs, std::size_t count) {
  // Training looks at no more of the input than the first layer's windows do.
  const bool from_images = pass.training && count > 0 && operations_.front()->takes_images();
  const std::optional<ChannelLaws> laws =
      from_images ? normalise_.channel_laws(pass.seed, pass.first_sample)
                  : std::optional<ChannelLaws>();
  if (!laws) normalise(pass, inputs);
  for (std::size_t i = 0; i < count; ++i) {
    const timeline::Part here(names_[i], "forward");
    if (i == 0 && laws) {
      operations_[i]->forward_images(pass, inputs.image_source, *laws);
    } else {
      operations_[i]->forward(pass);
    }
  }
}

bool Plan::emulates_format() const {
  return std::any_of(operations_.begin(), operations_.end(),
                     [](const auto& operation) { return operation->emulates_format(); });
}

template <typename Body>
void Plan::in_batches(std::span<const std::uint8_t> images, std::size_t count, Body&& body) {
  const std::size_t image_bytes = extent(model_.input().size());
  if (!norms_.empty()) load_statistics(running_);
  const ReadImages read(device_);
  for (std::size_t first = 0; first < count; first += extent(options_.batch)) {
    const std::size_t piece = std::min(extent(options_.batch), count - first);
    upload_input(images.subspan(first * image_bytes, piece * image_bytes), piece);
    forward({.batch = static_cast<int>(piece), .training = false}, inputs_.front(),
            operations_.size());
    body(first, piece);
  }
}

std::vector<float> Plan::infer(std::span<const std::uint8_t> images, std::size_t count) {
  const std::size_t classes = extent(model_.classes());
  const std::size_t columns = extent(edges_.back().layout.image_stride());
  std::vector<float> logits(count * classes);
  in_batches(images, count, [&](std::size_t first, std::size_t piece) {
    const opencl::Mapping mapping = device_.map(edges_.back().value, opencl::Access::read);
    const auto rows = mapping.as<float>();
    for (std::size_t i = 0; i < piece; ++i) {
      std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(i * columns), classes,
                  logits.begin() + static_cast<std::ptrdiff_t>((first + i) * classes));
    }
  });
  return logits;
}

Plan::Ranges Plan::output_ranges(std::span<const std::uint8_t> images, std::size_t count) {
  const std::vector<plan::Step> steps = lower().steps;
  if (std::any_of(steps.begin(), steps.end(),
                  [](const plan::Step& step) { return step.pool || step.deferred; })) {
    // Calibration wants to see what went into the pools, too, and what batch norms put out.
    if (!unfused_) {
      unfused_ = std::make_unique<Plan>(device_, model_, input_,
                                        PlanOptions{.batch = options_.batch,
                                                    .variant = options_.variant,
                                                    .format = options_.format,
                                                    .fuse_maps = false});
    }
    unfused_->load_parameters(parameters());
    unfused_->load_statistics(running_);
    return unfused_->output_ranges(images, count);
  }
  if (!magnitudes_) magnitudes_.emplace(device_, variant_);
  // A result each for the input and for every operation.
  const opencl::Buffer seen =
      device_.allocate((operations_.size() + 1) * Magnitudes::elements * sizeof(std::uint32_t));
  Ranges ranges;
  ranges.layers.assign(model_.layers().size(), 0.0f);
  ranges.histograms.resize(model_.layers().size());
  in_batches(images, count, [&](std::size_t, std::size_t piece) {
    device_.fill_zero(seen);
    const auto add = [&](const Edge& edge, std::size_t place) {
      // A histogram needs no more than every sixteenth row of high maps.
      magnitudes_->add(edge.layout, edge.value, static_cast<int>(piece),
                       edge.layout.height < 16 ? 1 : 16, seen, place * Magnitudes::elements);
    };
    add(edges_.front(), 0);
    for (std::size_t i = 0; i < operations_.size(); ++i) add(operations_[i]->out(), i + 1);
    const opencl::Mapping mapping = device_.map(seen, opencl::Access::read);
    const auto result = [&](std::size_t place) {
      return mapping.as<std::uint32_t>().subspan(place * Magnitudes::elements,
                                                 Magnitudes::elements);
    };
    const auto largest = [&](std::size_t place) {
      return std::bit_cast<float>(result(place).back());
    };
    ranges.input = std::max(ranges.input, largest(0));
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const std::size_t layer = operations_[i]->last_layer();
      ranges.layers[layer] = std::max(ranges.layers[layer], largest(i + 1));
      ranges.histograms[layer].add_counts(result(i + 1).first(MagnitudeBins::count));
    }
  });
  return ranges;
}

}  // namespace dovetail
