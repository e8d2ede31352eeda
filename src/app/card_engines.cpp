// Loads kernel families as they are needed.
#include "app/card_engines.hpp"

#include <functional>
#include <optional>

#include "infer/engine.hpp"
#include "infer/forward_engine.hpp"
#include "infer/gradient_engine.hpp"
#include "quant/weight_pack.hpp"

namespace dovetail::app {
namespace {

std::unique_ptr<infer::Inference> make_engine(fpga::Card& card, const std::string& family) {
  if (family.starts_with("training_")) return std::make_unique<infer::ForwardEngine>(card, family);
  return std::make_unique<infer::Engine>(card, family);
}

}  // namespace

/// An engine that can be turned out: it keeps the newest pack, to load it again.
class CardEngines::Tenant {
 public:
  Tenant(CardEngines& house, std::string family) : house_(house), family_(std::move(family)) {
    house_.tenants_.push_back(this);
  }
  virtual ~Tenant() { std::erase(house_.tenants_, this); }
  Tenant(const Tenant&) = delete;
  Tenant& operator=(const Tenant&) = delete;

  /// Gives up whatever it holds of the card.
  virtual void turn_out() = 0;
  const std::string& family() const { return family_; }

 protected:
  /// The engine, loaded as it last was.
  template <typename Engine, typename Make>
  Engine& settle(std::unique_ptr<Engine>& engine, const Make& make) {
    fpga::Card& card = house_.card_with(family_);
    if (!engine) {
      engine = make(card);
      if (pack_) engine->load(*pack_);
    }
    return *engine;
  }
  template <typename Engine, typename Make>
  void load_pack(std::unique_ptr<Engine>& engine, const quant::WeightPack& pack, const Make& make) {
    fpga::Card& card = house_.card_with(family_);
    if (!engine) engine = make(card);
    engine->load(pack);
    pack_ = pack;
  }

 private:
  CardEngines& house_;
  std::string family_;
  std::optional<quant::WeightPack> pack_;
};

class CardEngines::InferenceTenant final : public Tenant, public infer::Inference {
 public:
  using Tenant::Tenant;
  void turn_out() override { engine_.reset(); }
  void load(const quant::WeightPack& pack) override { load_pack(engine_, pack, make()); }
  std::vector<float> run(std::span<const std::uint8_t> images, std::size_t count) override {
    return settle(engine_, make()).run(images, count);
  }

 private:
  std::function<std::unique_ptr<infer::Inference>(fpga::Card&)> make() const {
    return [this](fpga::Card& card) { return make_engine(card, family()); };
  }
  std::unique_ptr<infer::Inference> engine_;
};

class CardEngines::GradientTenant final : public Tenant, public infer::GradientSource {
 public:
  GradientTenant(CardEngines& house, const infer::GradientOptions& options)
      : Tenant(house, infer::gradient_kernels(options.format)), options_(options) {}
  void turn_out() override { engine_.reset(); }
  void load(const quant::WeightPack& pack) override { load_pack(engine_, pack, make()); }
  infer::GradientSums gradients(std::span<const std::uint8_t> images,
                                std::span<const std::int32_t> labels, std::uint64_t draw) override {
    return settle(engine_, make()).gradients(images, labels, draw);
  }

 private:
  std::function<std::unique_ptr<infer::GradientEngine>(fpga::Card&)> make() const {
    return [this](fpga::Card& card) {
      return std::make_unique<infer::GradientEngine>(card, options_);
    };
  }
  infer::GradientOptions options_;
  std::unique_ptr<infer::GradientEngine> engine_;
};

CardEngines::CardEngines(const RankPlacement& placement, const PlacementOptions& options,
                         const std::vector<std::string>& formats)
    : slot_(placement.emulated ? fpga::Backend::emulated : fpga::Backend::card,
            placement.device.index, options.card_timeout_s) {
  for (const std::string& format : formats)
    fpga::find_xclbin(quant::kernel_family(format), slot_.backend());
  const std::string family = quant::kernel_family(formats.front());
  make_engine(card_with(family), family);  // before training: does the xclbin have its kernels?
}

CardEngines::~CardEngines() = default;

fpga::Card& CardEngines::card_with(const std::string& family) {
  return slot_.with(family, [this] {
    for (Tenant* tenant : tenants_) tenant->turn_out();
  });
}

std::unique_ptr<infer::Inference> CardEngines::open(const std::string& format) {
  return std::make_unique<InferenceTenant>(*this, quant::kernel_family(format));
}

std::unique_ptr<infer::GradientSource> CardEngines::open_gradients(
    const infer::GradientOptions& options) {
  infer::checked_format(options);
  fpga::find_xclbin(infer::gradient_kernels(options.format), slot_.backend());
  return std::make_unique<GradientTenant>(*this, options);
}

}  // namespace dovetail::app
