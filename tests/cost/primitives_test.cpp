// The LUT and DSP model beside what Yosys makes of the Verilog units: hls/rtl/count_primitives.py
// wrote the table.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "cost/resources.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

struct Row {
  std::string format;
  Folding folding;
  int words = 0;
  std::int64_t lut = 0, dsp = 0;
};

std::vector<Row> read_counts() {
  std::ifstream file(DOVETAIL_PRIMITIVES);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "format,pe,simd,words,tiles,lut,dsp,ff,carry,lutram,bram18");
  std::vector<Row> rows;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    Row row;
    char comma = 0;
    int tiles = 0;
    std::getline(fields, row.format, ',');
    fields >> row.folding.pe >> comma >> row.folding.simd >> comma >> row.words >> comma >> tiles >>
        comma >> row.lut >> comma >> row.dsp;
    rows.push_back(row);
  }
  return rows;
}

LayerWork hidden_layer() {
  LayerWork layer;
  layer.last = true;
  return layer;
}

TEST(Primitives, LutModelStaysWithinItsPublishedResidualOfYosys) {
  const std::vector<Row> rows = read_counts();
  ASSERT_GE(rows.size(), 45u);
  fmt::print(
      "| format | PE × SIMD | Yosys LUT | model LUT | model / Yosys | FINN's formula / Yosys | "
      "Yosys DSP | model DSP |\n");
  fmt::print("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
  double squares = 0;
  for (const Row& row : rows) {
    SCOPED_TRACE(fmt::format("{} {}x{}", row.format, row.folding.pe, row.folding.simd));
    const Operands o = operands(numeric::parse_format(row.format), hidden_layer());
    const int accumulator = accumulator_bits(o, row.words * row.folding.simd);
    const auto luts = static_cast<double>(row.lut);
    const std::int64_t modelled = product_luts(o, row.folding, accumulator);
    const double ratio = static_cast<double>(modelled) / luts;
    const double finn =
        static_cast<double>(product_luts_by_finn(o, row.folding, accumulator)) / luts;
    fmt::print("| {} | {} × {} | {} | {} | {:.2f} | {:.2f} | {} | {} |\n", row.format,
               row.folding.pe, row.folding.simd, row.lut, modelled, ratio, finn, row.dsp,
               product_dsps(o, row.folding));
    squares += (ratio - 1) * (ratio - 1);
    EXPECT_GT(ratio, 0.85);
    EXPECT_LT(ratio, 1.15);
    EXPECT_EQ(row.dsp, product_dsps(o, row.folding));
  }
  EXPECT_LT(std::sqrt(squares / static_cast<double>(rows.size())), 0.07);
}

}  // namespace
}  // namespace dovetail::cost
