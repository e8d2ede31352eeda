// The table of cards.
#include "cost/card.hpp"

#include <algorithm>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

// What Vivado counts on each card, summed over its SLRs, by FINN's tables (finn/util/platforms.py).
constexpr Resources xcu280{.lut = 1'163'520, .dsp = 8'496, .bram18 = 3'504, .uram = 960};
constexpr Resources xcu250{.lut = 1'500'000, .dsp = 11'520, .bram18 = 4'608, .uram = 1'280};
constexpr double hbm_rate = 460e9, hbm_channels = 32;
constexpr double ddr_rate = 77e9, ddr_banks = 4;
constexpr double port_bytes = 64;  // of an m_axi port, a cycle

/// The U55C carries the same silicon as the U280.
const std::vector<Card> cards{{"u280", xcu280, "HBM2", hbm_rate, hbm_rate / hbm_channels, true},
                              {"u55c", xcu280, "HBM2", hbm_rate, hbm_rate / hbm_channels, true},
                              {"u250", xcu250, "DDR4", ddr_rate, ddr_rate / ddr_banks, false}};

}  // namespace

Resources& Resources::operator+=(const Resources& other) {
  lut += other.lut;
  dsp += other.dsp;
  bram18 += other.bram18;
  uram += other.uram;
  return *this;
}

double Card::port_rate(double hertz) const {
  return std::min(port_bytes * hertz, channel_rate);
}

double Card::range_rate(int pseudo_channels) const {
  return has_ranges ? pseudo_channels * channel_rate : channel_rate;
}

Resources Card::budget() const {
  return {all.lut * 7 / 10, all.dsp * 8 / 10, all.bram18 * 8 / 10, all.uram * 8 / 10};
}

double Card::share(const Resources& used) const {
  const auto of = [](std::int64_t part, std::int64_t whole) {
    return static_cast<double>(part) / static_cast<double>(whole);
  };
  const Resources most = budget();
  return std::max({of(used.lut, most.lut), of(used.dsp, most.dsp), of(used.bram18, most.bram18),
                   of(used.uram, most.uram)});
}

std::vector<std::string> card_names() {
  std::vector<std::string> names;
  for (const Card& card : cards) names.push_back(card.name);
  return names;
}

const Card& find_card(const std::string& name) {
  for (const Card& card : cards) {
    if (card.name == name) return card;
  }
  throw UsageError(fmt::format("unknown card '{}'", name),
                   fmt::format("Known cards: {}", fmt::join(card_names(), ", ")));
}

}  // namespace dovetail::cost
