// Foldings stay under the budget and are the fastest; nothing is silently zero.
#include "cost/estimate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <map>
#include <regex>

#include "cost/engine_launch.hpp"
#include "cost/training_launch.hpp"
#include "model/zoo.hpp"
#include "numeric/engine_layout.hpp"
#include "support/error.hpp"

namespace dovetail::cost {
namespace {

Question ask(const std::string& model, const std::string& format, const std::string& card) {
  const bool cifar = model == "cnv" || model == "vgg-small";
  Question question;
  question.card = &find_card(card);
  question.format = numeric::parse_format(format);
  question.work =
      work_of(make_model(model, cifar ? FeatureShape{3, 32, 32} : FeatureShape{1, 28, 28}, 10));
  return question;
}

void expect_no_zero(const Estimate& estimate) {
  EXPECT_LE(estimate.share, 1.0);
  EXPECT_GT(estimate.share, 0.0);
  Resources sum;
  for (const LayerCost& layer : estimate.layers) {
    SCOPED_TRACE(layer.name);
    EXPECT_FALSE(layer.name.empty());
    EXPECT_GT(layer.cycles, 0);
    EXPECT_GE(layer.interval, 1);
    if (estimate.architecture == Architecture::engine) {
      EXPECT_GT(layer.cycles_with_depth, layer.cycles);
    }
    const bool is_linear = layer.kind == "dense" || layer.kind == "conv2d";
    EXPECT_EQ(layer.units, is_linear ? estimate.units : 1);
    EXPECT_GT(layer.folding.pe * layer.folding.simd, 0);
    EXPECT_FALSE(layer.bound.empty());
    if (estimate.architecture == Architecture::pipeline) {
      EXPECT_GT(layer.used.lut, 0);
    }
    sum += layer.used;
  }
  EXPECT_EQ(sum, estimate.used);
  ASSERT_EQ(estimate.speeds.size(), 2u);
  EXPECT_LE(estimate.speeds[0].images_per_second, estimate.speeds[1].images_per_second);
  for (const Speed& speed : estimate.speeds) {
    EXPECT_GT(speed.images_per_second, 0);
    EXPECT_LT(speed.images_per_second_with_depth, speed.images_per_second);
    EXPECT_EQ(speed.images_per_second_with_depth > 0,
              estimate.architecture == Architecture::engine);
    EXPECT_GT(speed.latency_s, 0);
    EXPECT_FALSE(speed.bound.empty());
  }
}

std::vector<std::string> known_formats() {
  std::vector<std::string> formats{"fixed2", "fixed8", "fixed16", "bfp2", "bfp5",
                                   "bfp8",   "int8",   "int6",    "int16"};
  for (const char* weights : {"1", "t", "2", "4", "8"}) {
    for (const char* activations : {"1", "2", "4", "8"})
      formats.push_back(fmt::format("w{}a{}", weights, activations));
  }
  return formats;
}

/// The engine's kernels keep weights and lines in UltraRAM, and vectors and streams in block RAM.
void expect_memories(const Estimate& estimate) {
  ASSERT_EQ(estimate.architecture, Architecture::engine);
  std::vector<std::string> kinds;
  for (const LayerCost& layer : estimate.layers) {
    SCOPED_TRACE(layer.name);
    const bool is_linear = layer.kind == "dense" || layer.kind == "conv2d";
    if (std::ranges::find(kinds, layer.kind) != kinds.end() || layer.used == Resources{}) continue;
    kinds.push_back(layer.kind);
    EXPECT_GT(layer.used.lut, 0);
    EXPECT_GT(layer.used.bram18, 0);
    EXPECT_EQ(layer.used.uram > 0, is_linear || layer.kind == "max_pool");
  }
  EXPECT_GE(kinds.size(), 2u);
}

TEST(Estimate, EveryModelFormatAndCardHasOneWithoutAZero) {
  for (const std::string& model : model_names()) {
    for (const std::string& format : known_formats()) {
      for (const std::string& card : card_names()) {
        SCOPED_TRACE(model + " " + format + " " + card);
        const Question question = ask(model, format, card);
        const Estimate engine = estimate_engine(question);
        expect_no_zero(engine);
        expect_memories(engine);
        expect_no_zero(estimate_pipeline(question));
      }
    }
  }
}

TEST(Estimate, FormatsWithoutUnitsAreRefused) {
  for (const char* format : {"float32", "bfloat16", "e4m3", "mxfp4", "mxint8", "fixed32"}) {
    const Question question = ask("mlp", format, "u280");
    EXPECT_THROW(estimate_engine(question), UsageError) << format;
    EXPECT_THROW(estimate_pipeline(question), UsageError) << format;
  }
}

TEST(Estimate, FormatsThatNoKernelIsBuiltForHaveAPipelineAlone) {
  for (const char* format : {"bfp9", "bfp16", "fixed17", "fixed18", "fixed8.3"}) {
    SCOPED_TRACE(format);
    const Question question = ask("mlp", format, "u280");
    EXPECT_FALSE(is_built(question.format));
    EXPECT_THROW(estimate_engine(question), UsageError);
    expect_no_zero(estimate_pipeline(question));
  }
  for (const std::string& format : known_formats())
    EXPECT_TRUE(is_built(numeric::parse_format(format))) << format;
}

TEST(Estimate, LayersLargerThanTheKernelsMemoriesAreRefused) {
  const auto refuses = [](const char* format, const FeatureShape& input,
                          std::vector<Layer> layers) {
    Question question;
    question.card = &find_card("u280");
    question.format = numeric::parse_format(format);
    question.work = work_of(Model("large", input, std::move(layers)));
    EXPECT_THROW(estimate_engine(question), UsageError) << format;
  };
  using namespace layer;
  for (const char* format : {"w1a1", "w8a8", "fixed8", "bfp8"}) {
    refuses(format, {1, 300, 300}, {Dense{.out = 10}});  // an image of 90,000 bytes
    refuses(format, {5, 8, 8}, {Dense{.out = 10}});
    refuses(format, {1, 28, 28}, {Dense{.out = 2049}, Relu{}, Dense{.out = 10}});
    refuses(format, {1, 20, 20}, {Conv2d{.out = 4, .kernel = 9}, Relu{}, Dense{.out = 10}});
  }
  // 16 MiB of 8-bit weights, and 64 Mbit of 1-bit ones.
  refuses("w8a8", {4, 90, 90}, {Dense{.out = 512}, Relu{}, Dense{.out = 10}});
  refuses("fixed16", {4, 90, 90}, {Dense{.out = 512}, Relu{}, Dense{.out = 10}});
  refuses("w1a1", {4, 120, 120}, {Dense{.out = 1024}, Relu{}, Dense{.out = 10}});
}

/// A card with so little of everything that foldings matter for a tiny model.
Card small_card(std::int64_t lut) {
  Card card = find_card("u280");
  card.all = {.lut = lut, .dsp = 40, .bram18 = 40, .uram = 8};
  return card;
}

std::int64_t slowest(const Estimate& estimate) {
  std::int64_t most = 0;
  for (const LayerCost& layer : estimate.layers) most = std::max(most, layer.cycles);
  return most;
}

/// The fewest cycles between two images of all combinations of divisors that fit; layer by layer,
/// given foldings through the public interface.
std::int64_t brute_force(const Question& question) {
  struct Unit {
    std::int64_t cycles;
    Resources used;
  };
  std::vector<std::vector<Unit>> choices;
  for (const LayerWork& layer : question.work) {
    choices.emplace_back();
    for (int pe = 1; pe <= layer.rows(); ++pe) {
      for (int simd = 1; simd <= layer.columns(); ++simd) {
        if (layer.rows() % pe != 0 || layer.columns() % simd != 0) continue;
        Question alone = question;
        Card large = find_card("u280");  // the memories' choice needs the small card's proportions
        large.all = {.lut = question.card->all.lut * 1000,
                     .dsp = question.card->all.dsp * 1000,
                     .bram18 = question.card->all.bram18 * 1000,
                     .uram = question.card->all.uram * 1000};
        alone.card = &large;
        alone.work = {layer};
        alone.folding = Folding{pe, simd};
        const LayerCost cost = estimate_pipeline(alone).layers.front();
        choices.back().push_back({cost.cycles, cost.used});
      }
    }
  }
  std::int64_t best = std::numeric_limits<std::int64_t>::max();
  for (const Unit& a : choices[0]) {
    for (const Unit& b : choices[1]) {
      if (question.card->share(a.used + b.used) <= 1)
        best = std::min(best, std::max(a.cycles, b.cycles));
    }
  }
  return best;
}

TEST(Folding, OfAPipelineIsTheFastestThatBruteForceFinds) {
  using namespace layer;
  const Model model("tiny", {48, 1, 1}, {Dense{.out = 24}, Relu{}, Dense{.out = 12}});
  for (const char* format : {"w1a1", "w2a2", "w4a4", "w8a8", "fixed16"}) {
    for (const std::int64_t lut : {2'500, 4'000, 8'000, 20'000}) {
      SCOPED_TRACE(fmt::format("{} {}", format, lut));
      const Card card = small_card(lut);
      Question question;
      question.card = &card;
      question.format = numeric::parse_format(format);
      question.work = work_of(model);
      const std::int64_t best = brute_force(question);
      if (best == std::numeric_limits<std::int64_t>::max()) {
        EXPECT_THROW(estimate_pipeline(question), UsageError);
        continue;
      }
      const Estimate estimate = estimate_pipeline(question);
      EXPECT_LE(estimate.share, 1);
      EXPECT_EQ(slowest(estimate), best);
    }
  }
}

TEST(Folding, OfTheEngineIsTheFastestPowerOfTwoUnderTheBudget) {
  for (const char* format : {"w1a1", "int8", "fixed16"}) {
    Question question = ask("cnn", format, "u280");
    const Estimate best = estimate_engine(question);
    for (int pe = 1; pe <= 512; pe *= 2) {
      for (int simd = 1; simd <= pe; simd *= 2) {
        question.folding = Folding{pe, simd};
        try {
          EXPECT_LE(estimate_engine(question).speeds[1].images_per_second,
                    best.speeds[1].images_per_second)
              << format << ' ' << pe << 'x' << simd;
        } catch (const UsageError&) {
          // This one does not fit.
        }
      }
    }
  }
}

TEST(Folding, ThatDoesNotFitIsAnErrorWithARemedy) {
  Question question = ask("sfc", "fixed16", "u280");
  question.folding = Folding{256, 256};
  EXPECT_THROW(estimate_engine(question), UsageError);
  EXPECT_THROW(estimate_pipeline(question), UsageError);
  question.folding = Folding{16, 32};
  EXPECT_THROW(estimate_engine(question), UsageError);
}

TEST(Engine, AsBuiltForInt8MatchesTheFormulasOfItsReadme) {
  Question question = ask("mlp", "int8", "u280");
  question.folding = Folding{engine::pe, engine::simd(8)};
  const Estimate estimate = estimate_engine(question);
  // dense 784 → 256: 49 words of 16 lanes, 8 tiles; a weight word is eight bursts.
  const int words = engine::vector_words(28 * 28, 8);
  EXPECT_EQ(words, 49);
  EXPECT_EQ(estimate.layers[1].cycles, (8 + 1) * words + 8);
  EXPECT_EQ(estimate.layers[1].load_cycles, 8 * words * 8);
  EXPECT_EQ(estimate.layers[1].weight_bytes, 8 * words * engine::weight_word_bytes(8));
  EXPECT_EQ(estimate.layers[2].cycles, (4 + 1) * 16 + 4);
}

TEST(Engine, AsBuiltForBitPlanesMatchesTheFormulasOfItsReadme) {
  for (const auto& [format, bits] : {std::pair{"w1a1", 1}, {"wta1", 2}, {"w2a1", 2}, {"w4a1", 4}}) {
    SCOPED_TRACE(format);
    Question question = ask("mlp", format, "u280");
    question.folding = Folding{engine::pe, engine::simd(bits)};
    const Estimate estimate = estimate_engine(question);
    // dense 784 → 256 on int8: 8 tiles of 13 words, a pass for each of 8 planes.
    const int words = engine::vector_words(28 * 28, bits);
    EXPECT_EQ(words, 13);
    EXPECT_EQ(estimate.layers[1].cycles, 8 * words * 8);
    EXPECT_EQ(estimate.layers[1].weight_bytes, 8 * words * engine::weight_word_bytes(bits));
    // dense 256 → 128 on one plane: 4 words a tile are done before the tile's outputs can leave.
    EXPECT_EQ(estimate.layers[2].cycles, 4 * 8);
    EXPECT_EQ(estimate.layers[2].interval, 8);
    EXPECT_EQ(estimate.layers[2].bound, "activation");
    EXPECT_EQ(estimate.used.dsp, 0);
  }
  // Two planes are as many passes.
  Question question = ask("mlp", "w1a2", "u280");
  question.folding = Folding{engine::pe, engine::simd(1)};
  EXPECT_EQ(launch_of(question, question.work[1], *question.folding).passes, 2);
}

TEST(Engine, AsBuiltForBinaryConvolutionsTakesTheSlowestStage) {
  Question question = ask("cnn", "w1a1", "u280");
  question.folding = Folding{engine::pe, engine::simd(1)};
  const Estimate estimate = estimate_engine(question);
  // conv1: 28 × 28 windows of 9 bytes: one word, 8 passes, and as long for the outputs to leave.
  EXPECT_EQ(estimate.layers[1].cycles, 28 * 28 * 8);
  // conv2: 14 × 14 windows on 32 channels: 5 words for 2 tiles, whose outputs take longer.
  EXPECT_EQ(estimate.layers[3].cycles, 14 * 14 * 2 * 8);
  EXPECT_EQ(estimate.layers[3].bound, "activation");
  // cnv's first hidden one: windows of 24 bytes a row, and their marks, take less than 9 words
  // each.
  question.work = ask("cnv", "w1a1", "u280").work;
  EXPECT_EQ(linear_cost(question, question.work[1], *question.folding).cycles, 28 * 28 * 2 * 9);
}

constexpr double channel = 460e9 / 32;  // bytes a second of a pseudo channel of HBM

TEST(Engine, OfFixedAndBlockFloatingPointIsTheForwardPassOfTheTrainingKernels) {
  for (const auto& [format, interval] : {std::pair{"fixed8", 1}, {"int12", 1}, {"bfp8", 8}}) {
    SCOPED_TRACE(format);
    Question question = ask("mlp", format, "u280");
    question.folding = Folding{32, 16};
    const Estimate estimate = estimate_engine(question);
    ASSERT_EQ(estimate.layers.size(), 6u);  // three layers, and two maps to quantise
    EXPECT_EQ(estimate.layers[0].cycles, 784 + 13);
    // dense 784 → 256: 49 words, 8 tiles; each addition of bfp to a sum waits for the one before.
    EXPECT_EQ(estimate.layers[1].cycles, 49 * 8 * interval);
    EXPECT_EQ(estimate.layers[1].interval, interval);
    EXPECT_EQ(estimate.layers[1].bound, "compute");
    EXPECT_EQ(estimate.layers[2].kind, "quantise");
    EXPECT_EQ(estimate.layers[2].units, 1);
    EXPECT_EQ(estimate.layers[2].cycles, 2 * 256 / 16);
    EXPECT_EQ(estimate.layers[3].used, Resources{}) << "shares the first layer's kernel";
  }
  // By hand: launches one after another, whose images the two units share.
  Question question = ask("cnn", "fixed8", "u280");
  question.folding = Folding{32, 16};
  const Estimate estimate = estimate_engine(question);
  double s = 0;
  for (const LayerCost& layer : estimate.layers) {
    // Weights, codes and real maps lie apart, on more channels than two units can keep busy.
    const double images = 64.0 / layer.units;
    double busiest = 0;
    for (const Traffic& range : layer.maps)
      busiest = std::max(busiest, static_cast<double>(range.port_bytes));
    if (layer.kind == "input") busiest = std::max(busiest, static_cast<double>(layer.bytes) / 4);
    s += std::max(static_cast<double>(layer.load_cycles) / 300e6,
                  static_cast<double>(layer.weight_bytes) / channel) +
         images * std::max(static_cast<double>(layer.cycles) / 300e6, busiest / channel);
  }
  EXPECT_NEAR(estimate.speeds[1].images_per_second, 64 / s, 1);
}

TEST(Engine, HasNoForwardPassForPoolsThatOverlap) {
  using namespace layer;
  Question question;
  question.card = &find_card("u280");
  question.format = numeric::parse_format("fixed8");
  question.work = work_of(
      Model("overlap", {1, 12, 12},
            {Conv2d{.out = 4}, Relu{}, MaxPool{.kernel = 3, .stride = 2}, Dense{.out = 10}}));
  EXPECT_THROW(estimate_engine(question), UsageError);
  question.format = numeric::parse_format("w8a8");
  expect_no_zero(estimate_engine(question));
}

/// Times `word` in one of the files that make an xclbin of hls/engine.
int times_in(const char* file, const std::string& word) {
  std::ifstream in(std::string(DOVETAIL_ENGINE) + "/" + file);
  EXPECT_TRUE(in) << file;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  int times = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++times;
  return times;
}

TEST(Engine, HasTheComputeUnitsOfItsXclbins) {
  EXPECT_EQ(Question{}.units, engine::layer_units);
  const char* link = "link.cfg.in";
  for (const char* kernel : {"conv2d_w@WEIGHT_BITS@", "dense_w@WEIGHT_BITS@"}) {
    EXPECT_EQ(times_in(link, fmt::format("nk={}:{}:", kernel, engine::layer_units)), 1) << kernel;
    for (int unit = 1; unit <= engine::layer_units; ++unit)
      EXPECT_EQ(times_in(link, fmt::format("slr={}_{}:", kernel, unit)), 1) << kernel << unit;
  }
  for (const char* kernel : {"quantise_input", "max_pool"})
    EXPECT_EQ(times_in(link, fmt::format("nk={}:1:", kernel)), 1) << kernel;
  EXPECT_EQ(times_in("family.json.in", fmt::format("\"compute_units\": {}", engine::layer_units)),
            2);
  EXPECT_EQ(times_in("family.json.in", "\"compute_units\": 1"), 2);
}

TEST(Engine, UnitsShareImagesAndMemoryButNotResources) {
  Question question = ask("cnn", "int8", "u280");
  question.folding = Folding{engine::pe, engine::simd(8)};
  question.units = 1;
  const Estimate one = estimate_engine(question);
  question.units = 2;
  const Estimate two = estimate_engine(question);
  for (std::size_t i = 0; i < one.layers.size(); ++i) {
    const Resources& single = one.layers[i].used;
    EXPECT_EQ(two.layers[i].cycles, one.layers[i].cycles);
    EXPECT_EQ(two.layers[i].used, two.layers[i].units == 2 ? single + single : single);
  }
  EXPECT_DOUBLE_EQ(two.speeds[1].latency_s, one.speeds[1].latency_s);
  const double gain = two.speeds[1].images_per_second / one.speeds[1].images_per_second;
  EXPECT_GT(gain, 1.5);
  EXPECT_LE(gain, 2);
  // By hand: all of a batch through the input, then the layers one after another, at 300 MHz.
  double cycles = 0;
  for (const LayerCost& layer : one.layers) {
    const double bytes_a_cycle = channel / 300e6;  // 48 of the 64 that a port is wide
    const double weights = std::max(static_cast<double>(layer.load_cycles),
                                    static_cast<double>(layer.weight_bytes) / bytes_a_cycle);
    ASSERT_EQ(layer.maps.size(), 1u);
    EXPECT_EQ(layer.maps[0].bytes, layer.bytes);
    const auto port_bytes = static_cast<double>(layer.maps[0].port_bytes);
    EXPECT_GE(2 * port_bytes, static_cast<double>(layer.bytes));  // so two channels do not bound it
    cycles +=
        weights + 64 * std::max(static_cast<double>(layer.cycles), port_bytes / bytes_a_cycle);
  }
  EXPECT_NEAR(one.speeds[1].images_per_second, 64 * 300e6 / cycles, 1);
}

TEST(Engine, APortOfHbmCarriesOnePseudoChannel) {
  // mlp's weights at one image a launch: 64 bytes of a cycle's 64 at 200 MHz, 48 at 300.
  Question question = ask("mlp", "int8", "u280");
  question.folding = Folding{engine::pe, engine::simd(8)};
  question.units = question.batch = 1;
  const Estimate estimate = estimate_engine(question);
  for (const Speed& speed : estimate.speeds) {
    const double hertz = speed.megahertz * 1e6;
    double s = 0;
    for (const LayerCost& layer : estimate.layers) {
      EXPECT_EQ(layer.weight_bytes, 64 * layer.load_cycles);
      s += static_cast<double>(layer.weight_bytes) / std::min(64 * hertz, channel) +
           static_cast<double>(layer.cycles) / hertz;
    }
    EXPECT_NEAR(speed.images_per_second * s, 1, 1e-9) << speed.megahertz;
  }
  // Two units have two ports and share two channels, four have four ports for the same two.
  double round_s[5] = {};
  for (const int units : {1, 2, 4}) {
    question.units = units;
    round_s[units] = units / estimate_engine(question).speeds[1].images_per_second;
  }
  EXPECT_DOUBLE_EQ(round_s[2], round_s[1]);
  EXPECT_GT(round_s[4], 1.3 * round_s[1]);
  // A bank of DDR is one for all of them.
  question.card = &find_card("u250");
  question.units = 1;
  const double alone = estimate_engine(question).speeds[1].images_per_second;
  question.units = 2;
  EXPECT_LT(estimate_engine(question).speeds[1].images_per_second, 1.5 * alone);
}

/// Pseudo channels of each port in a link configuration: "train_forward_1.input" → 4.
std::map<std::string, int> linked_channels(const std::string& file) {
  std::ifstream in(std::string(DOVETAIL_ENGINE) + "/" + file);
  EXPECT_TRUE(in) << file;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::map<std::string, int> channels;
  const std::regex line(R"(sp=([\w@.]+):HBM\[(\d+):(\d+)\])");
  for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at)
    channels[(*at)[1]] = std::stoi((*at)[3]) - std::stoi((*at)[2]) + 1;
  return channels;
}

TEST(Engine, HasTheRangesOfItsLinkConfigurations) {
  const auto is_port = [](const std::string& port, std::initializer_list<const char*> names) {
    return std::ranges::any_of(
        names, [&](const char* name) { return port.find(name) != std::string::npos; });
  };
  const auto engine = linked_channels("link.cfg.in");
  EXPECT_EQ(engine.size(), 21u);
  for (const auto& [port, channels] : engine) {
    const bool is_map = is_port(port, {".images", ".input", ".output"});
    EXPECT_EQ(channels, is_map ? map_channels : weight_channels) << port;
  }
  const auto training = linked_channels("../training/link.cfg.in");
  EXPECT_EQ(training.size(), 27u);
  for (const auto& [port, channels] : training) {
    const bool is_forward = is_port(port, {"train_quantise", "train_forward"});
    if (!is_forward) continue;  // the way back, which no estimate knows
    const bool is_code =
        is_port(port, {".images", ".input", "images_1.output", "quantise_1.output"});
    const bool is_parameter = is_port(port, {".tables", ".weights", ".bias"});
    EXPECT_EQ(channels, is_code        ? code_channels
                        : is_parameter ? square_channels
                                       : real_channels)
        << port;
  }
}

TEST(Engine, AKernelOfOneUnitBoundsMany) {
  Question question = ask("sfc", "w1a1", "u280");
  question.folding = Folding{32, 64};
  question.units = 8;
  const Estimate estimate = estimate_engine(question);
  const LayerCost& input = estimate.layers.front();
  EXPECT_EQ(estimate.speeds[1].bound, "compute: input, which has one unit");
  EXPECT_NEAR(estimate.speeds[1].images_per_second, 300e6 / static_cast<double>(input.cycles), 1);
  question.units = 0;
  EXPECT_THROW(estimate_engine(question), UsageError);
}

TEST(Pipeline, KeepsPaceWithTheSlowestLayer) {
  const Estimate estimate = estimate_pipeline(ask("cnv", "w1a1", "u280"));
  const double interval = static_cast<double>(slowest(estimate));
  EXPECT_NEAR(estimate.speeds[0].images_per_second, 200e6 / interval, 1);
  EXPECT_NEAR(estimate.speeds[1].images_per_second, 300e6 / interval, 1);
  // FINN's own folding took 9,130 cycles an image at 200 MHz on a card a fifth as large.
  EXPECT_LE(interval, 9'130);
}

}  // namespace
}  // namespace dovetail::cost
