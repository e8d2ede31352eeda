// Index maps between canonical and device layouts.
#include "plan/arena.hpp"

#include "support/error.hpp"

namespace dovetail::plan {

std::vector<std::uint32_t> conv_weight_index(int out, int in, int kernel) {
  const int out_stride = round_up(out, channel_lanes);
  std::vector<std::uint32_t> index;
  for (int o = 0; o < out; ++o) {
    for (int i = 0; i < in; ++i) {
      for (int tap = 0; tap < kernel * kernel; ++tap) {
        index.push_back(static_cast<std::uint32_t>((tap * in + i) * out_stride + o));
      }
    }
  }
  return index;
}

std::vector<std::uint32_t> dense_weight_index(int out, const Layout& in) {
  const int out_stride = round_up(out, channel_lanes);
  std::vector<std::uint32_t> index;
  for (int o = 0; o < out; ++o) {
    for (int c = 0; c < in.channels; ++c) {
      for (int y = 0; y < in.height; ++y) {
        for (int x = 0; x < in.width; ++x) {
          const std::size_t row = in.index(0, y, x, c);
          index.push_back(static_cast<std::uint32_t>(row) * static_cast<std::uint32_t>(out_stride) +
                          static_cast<std::uint32_t>(o));
        }
      }
    }
  }
  return index;
}

std::vector<std::uint32_t> vector_index(int count) {
  std::vector<std::uint32_t> index;
  for (int i = 0; i < count; ++i) index.push_back(static_cast<std::uint32_t>(i));
  return index;
}

std::size_t Arena::reserve(std::size_t elements) {
  const std::size_t offset = elements_;
  elements_ = (elements_ + elements + alignment_ - 1) / alignment_ * alignment_;
  return offset;
}

const Slot& Arena::add(ParameterSpec spec, std::size_t elements,
                       std::vector<std::uint32_t> device_index) {
  const std::size_t offset = reserve(elements);
  slots_.push_back({std::move(spec), offset, elements, std::move(device_index)});
  return slots_.back();
}

std::vector<float> Arena::scatter(const std::vector<Parameter>& canonical) const {
  if (canonical.size() != slots_.size()) {
    throw Error(
        fmt::format("{} parameters do not fit a model with {}", canonical.size(), slots_.size()));
  }
  std::vector<float> image(elements_, 0.0f);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    const Parameter& parameter = canonical[i];
    if (parameter.name != slot.spec.name || parameter.value.shape != slot.spec.shape) {
      throw Error(fmt::format("parameter {} {} does not fit the model's {} {}", parameter.name,
                              to_string(parameter.value.shape), slot.spec.name,
                              to_string(slot.spec.shape)));
    }
    for (std::size_t j = 0; j < slot.device_index.size(); ++j) {
      image[slot.offset + slot.device_index[j]] = parameter.value.values[j];
    }
  }
  return image;
}

std::vector<Parameter> Arena::gather(std::span<const float> image) const {
  std::vector<Parameter> canonical;
  for (const Slot& slot : slots_) {
    Parameter parameter{slot.spec.name, Tensor(slot.spec.shape)};
    for (std::size_t j = 0; j < slot.device_index.size(); ++j) {
      parameter.value.values[j] = image[slot.offset + slot.device_index[j]];
    }
    canonical.push_back(std::move(parameter));
  }
  return canonical;
}

}  // namespace dovetail::plan
