// Lays the rows out.
#include "bench/report.hpp"

#include "support/table.hpp"

namespace dovetail::bench {

Report::Report(std::string benchmark, const DeviceInfo& device, std::string variant,
               const Ceilings& ceilings)
    : benchmark_(std::move(benchmark)),
      device_(device),
      variant_(std::move(variant)),
      ceilings_(ceilings) {}

std::string Report::text() const {
  std::vector<std::vector<std::string>> rows;
  for (const Row& row : rows_) {
    const double rate = row.operations / row.timing.median_s;
    rows.push_back({row.what,
                    fmt::format("{:.1f} ({:.1f}..{:.1f})", row.timing.median_s * 1e6,
                                row.timing.low_s * 1e6, row.timing.high_s * 1e6),
                    fmt::format("{:.0f}", rate / 1e9),
                    fmt::format("{:.0f} %", 100 * rate / ceilings_.flops),
                    fmt::format("{:.1f}", row.bytes / row.timing.median_s / 1e9),
                    fmt::format("{:.2f}", row.timing.median_s /
                                              floor_s(ceilings_, row.operations, row.bytes))});
  }
  return fmt::format("{}, {} kernels\n{}\n", device_.name, variant_, to_text(ceilings_)) +
         format_table({"work", "median us (10..90 %)", "GFLOP/s", "of ceiling", "GB/s", "x floor"},
                      rows);
}

Json Report::json() const {
  Json rows = Json::array();
  for (const Row& row : rows_) {
    const double flops = row.operations / row.timing.median_s;
    const double bytes_per_s = row.bytes / row.timing.median_s;
    rows.push_back({{"what", row.what},
                    {"shape", row.shape},
                    {"operations", row.operations},
                    {"bytes", row.bytes},
                    {"timing", to_json(row.timing)},
                    {"flops", flops},
                    {"of_float32_ceiling", flops / ceilings_.flops},
                    {"bytes_per_s", bytes_per_s},
                    {"of_copy_ceiling", bytes_per_s / ceilings_.copy_bytes_per_s},
                    {"floor_s", floor_s(ceilings_, row.operations, row.bytes)}});
  }
  return {{"benchmark", benchmark_}, {"device", device_.name},         {"driver", device_.driver},
          {"variant", variant_},     {"ceilings", to_json(ceilings_)}, {"rows", rows}};
}

}  // namespace dovetail::bench
