// Formulas of the cost model against cases computed by hand.
#include <gtest/gtest.h>

#include "cost/cycles.hpp"
#include "cost/resources.hpp"
#include "model/zoo.hpp"
#include "support/error.hpp"

namespace dovetail::cost {
namespace {

LayerWork dense(int in, int out) {
  LayerWork layer;
  layer.name = "dense1";
  layer.in = {in, 1, 1};
  layer.out = {out, 1, 1};
  return layer;
}

TEST(CostCycles, MatrixVectorUnitTakesTilesTimesWordsAVector) {
  // 64 × 27 on 900 windows, 16 × 3 at once: 4 tiles, 9 words.
  EXPECT_EQ(matrix_vector_cycles(4, 9, 900), 32'400);
  EXPECT_EQ(matrix_vector_launch(4, 9, 900), 36 + 32'400 + 3);
}

TEST(CostCycles, SlidingWindowFillsAndThenKeepsPaceWithTheSlowerSide) {
  // 32 × 32 × 3, 3 × 3 windows, one channel at a time: 32·3·3 + 30·max(30·9·3, 32·3).
  EXPECT_EQ(window_cycles(32, 3, 3, 1, 30, 30, 1), 288 + 30 * 810);
  // A 1 × 1 window with stride 2 waits for its rows: 8·1·4 + 4·max(4·4, 2·8·4).
  EXPECT_EQ(window_cycles(8, 4, 1, 2, 4, 4, 1), 32 + 4 * 64);
}

TEST(CostMemory, BlocksAreCountedInTheirCheapestShape) {
  EXPECT_EQ(bram18_of(512, 36), 1);
  EXPECT_EQ(bram18_of(513, 36), 2);  // 1024 × 18 twice
  EXPECT_EQ(bram18_of(16384, 1), 1);
  EXPECT_EQ(bram18_of(2048, 10), 2);       // 2048 × 9 twice
  EXPECT_EQ(bram18_of(512, 36, true), 2);  // as 1024 × 18: both ports read
  EXPECT_EQ(bram18_of(1024, 36, true), bram18_of(1024, 36));
  EXPECT_EQ(uram_of(4096, 72), 1);
  EXPECT_EQ(uram_of(4097, 73), 4);
}

TEST(CostMemory, GoesWhereItTakesTheSmallestShareOfTheCard) {
  const Card& card = find_card("u280");
  EXPECT_EQ(memory(card, 4, 8), (Resources{.lut = 8}));
  EXPECT_EQ(memory(card, 512, 36), (Resources{.bram18 = 1}));
  EXPECT_EQ(memory(card, 4096, 72 * 4), (Resources{.uram = 4}));
}

TEST(CostCard, BudgetIsSeventyPercentOfLutsAndEightyOfTheRest) {
  EXPECT_EQ(find_card("u280").budget(),
            (Resources{.lut = 814'464, .dsp = 6'796, .bram18 = 2'803, .uram = 768}));
  EXPECT_DOUBLE_EQ(find_card("u280").share({.lut = 407'232, .uram = 576}), 0.75);
  EXPECT_THROW(find_card("u50"), UsageError);
}

TEST(CostCard, APortMovesItsWidthOrWhatItsChannelCarries) {
  for (const char* name : {"u280", "u55c"}) {
    SCOPED_TRACE(name);
    const Card& card = find_card(name);
    EXPECT_DOUBLE_EQ(card.port_rate(200e6), 12.8e9);  // 512 bits a cycle
    EXPECT_DOUBLE_EQ(card.port_rate(300e6), 14.375e9);
    EXPECT_DOUBLE_EQ(card.range_rate(1), 14.375e9);
    EXPECT_DOUBLE_EQ(card.range_rate(2), 28.75e9);
    EXPECT_DOUBLE_EQ(card.range_rate(32), card.memory_rate);
  }
  const Card& card = find_card("u250");
  EXPECT_DOUBLE_EQ(card.port_rate(300e6), 19.2e9);
  EXPECT_DOUBLE_EQ(card.port_rate(400e6), 19.25e9);
  EXPECT_DOUBLE_EQ(card.range_rate(4), 19.25e9);  // one bank
}

TEST(CostOperands, FollowTheLawsOfTheLowBitFormats) {
  LayerWork layer = dense(64, 64);
  const numeric::Format w1a1 = numeric::parse_format("w1a1");
  EXPECT_EQ(operands(w1a1, layer), (Operands{Multiplier::xnor, 1, 1, 1, true, false}));
  layer.first = true;  // the network's input is int8
  EXPECT_EQ(operands(w1a1, layer), (Operands{Multiplier::add_or_subtract, 1, 8, 1, true, false}));
  layer.first = false;
  layer.last = true;  // raw accumulators
  EXPECT_EQ(operands(w1a1, layer), (Operands{Multiplier::xnor, 1, 1, 0, false, false}));
  layer.last = false;
  EXPECT_EQ(operands(numeric::parse_format("wta4"), layer),
            (Operands{Multiplier::lut, 2, 4, 4, true, false}));
  EXPECT_EQ(operands(numeric::parse_format("int8"), layer),
            (Operands{Multiplier::dsp_pair, 8, 8, 8, false, false}));
  EXPECT_EQ(operands(numeric::parse_format("fixed16"), layer),
            (Operands{Multiplier::dsp, 16, 16, 16, false, false}));
  EXPECT_TRUE(operands(numeric::parse_format("bfp8"), layer).block_exponent);
}

TEST(CostOperands, AccumulatorHoldsTheLargestSum) {
  const Operands int8{Multiplier::dsp_pair, 8, 8, 8, false, false};
  // alpha = 10 + 16 - 1 = 25: ceil(25 + log2(1 + 2^-25) + 1) = 27
  EXPECT_EQ(accumulator_bits(int8, 1024), 27);
}

TEST(CostLuts, FinnsFormulaByHand) {
  // 300 + 1.1·4·(8·(2·3−1)·16 + 16·15 + 22), multiplications in LUTs as FINN counts W8A8 without
  // DSPs …
  const Operands luts{Multiplier::lut, 8, 8, 0, false, false};
  EXPECT_EQ(product_luts_by_finn(luts, {4, 8}, 22), 4'268);
  // … and without the multiplications where DSPs do them.
  const Operands dsps{Multiplier::dsp_pair, 8, 8, 0, false, false};
  EXPECT_EQ(product_luts_by_finn(dsps, {4, 8}, 22), 1'452);
  EXPECT_EQ(product_dsps(dsps, {4, 8}), 16);
  EXPECT_EQ(product_dsps(dsps, {3, 8}), 16);
  EXPECT_EQ(product_dsps({Multiplier::dsp, 16, 16, 0, false, false}, {4, 8}), 32);
}

TEST(CostLuts, ShiftersAreThoseThatYosysCounts) {
  // hls/rtl/count_primitives.py shifters: for 16 bytes a funnel has 280, a Realigner 737, what
  // fills a line 466; the model goes on in proportion.
  EXPECT_EQ(realigner_luts(128), 737);
  EXPECT_EQ(shifter_luts(128, 1), 466 + 280 + 737);
  EXPECT_EQ(shifter_luts(128, 2), 466 + 2 * (280 + 737));
  EXPECT_NEAR(static_cast<double>(realigner_luts(256)), 1536, 0.05 * 1536);
  EXPECT_EQ(shifter_luts(8, 1), 0);
  // Two stages of 128 bits: 3 × 64 to compare, 64 to take a width's answer, 128 to choose.
  EXPECT_EQ(engine_pool_luts(128), 200 + 2 * (192 + 64 + 128));
}

TEST(CostWork, OfTheConvolutionalNetworkIsItsLayers) {
  const auto work = work_of(make_model("cnn", {1, 28, 28}, 10));
  ASSERT_EQ(work.size(), 6u);
  EXPECT_EQ(work[0].columns(), 9);
  EXPECT_EQ(work[0].vectors(), 784);
  EXPECT_EQ(work[1].kind, WorkKind::max_pool);
  EXPECT_EQ(work[2].columns(), 288);
  EXPECT_EQ(work[4].columns(), 3136);
  EXPECT_TRUE(work[0].first);
  EXPECT_TRUE(work[5].last);
}

TEST(CostWork, RefusesWhatTheUnitsDoNotHave) {
  using namespace layer;
  EXPECT_THROW(
      work_of(Model("average", {1, 8, 8}, {Conv2d{.out = 4}, AveragePool{}, Dense{.out = 2}})),
      UsageError);
  EXPECT_THROW(work_of(Model("relu", {1, 8, 8}, {Relu{}, Dense{.out = 2}})), UsageError);
  EXPECT_THROW(work_of(Model("pool", {1, 8, 8}, {Conv2d{.out = 4}, MaxPool{}})), UsageError);
}

}  // namespace
}  // namespace dovetail::cost
