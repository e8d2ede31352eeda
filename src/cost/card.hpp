// The FPGA cards whose cost model is known: what they have, and how much of it a design may plan
// with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dovetail::cost {

/// Primitives of an UltraScale+ FPGA. A RAMB36 is two BRAM18.
struct Resources {
  std::int64_t lut = 0, dsp = 0, bram18 = 0, uram = 0;

  Resources& operator+=(const Resources& other);
  friend Resources operator+(Resources a, const Resources& b) { return a += b; }
  bool operator==(const Resources&) const = default;
};

/// Source of the resources: what Vivado sees of each card, as in FINN's platform tables
/// (finn/util/platforms.py), all SLRs together; the static region of the shell is not taken off.
/// Bandwidths: data sheets DS963 (U280), DS978 (U55C), DS962 (U250). A port of a kernel goes to one
/// of HBM's 32 AXI ports, 256 bits at 450 MHz (PG276), and a pseudo channel carries as much,
/// 14.375 GB/s by UG1393 ("HBM Configuration and Use"): a port gains nothing from a wider range,
/// several ports may.
struct Card {
  std::string name;
  Resources all;
  std::string memory;   // "HBM2"
  double memory_rate;   // bytes a second, all channels together
  double channel_rate;  // bytes a second of one pseudo channel of HBM, or of a DDR bank
  bool has_ranges;      // HBM: a port may be linked to several pseudo channels

  /// What one m_axi port of 512 bits moves a second at a kernel's clock: its own width, or what
  /// stands behind it.
  double port_rate(double hertz) const;
  /// What all ports together move a second that are linked to a range of so many pseudo channels;
  /// of DDR, one bank.
  double range_rate(int pseudo_channels) const;

  /// What a design may plan with: 70 % of the LUTs, 80 % of all else (FINN's limits).
  Resources budget() const;
  /// The largest share of the budget that any resource takes: at most 1 when it fits.
  double share(const Resources& used) const;
};

std::vector<std::string> card_names();
/// Throws UsageError for an unknown name, naming the known ones.
const Card& find_card(const std::string& name);

}  // namespace dovetail::cost
