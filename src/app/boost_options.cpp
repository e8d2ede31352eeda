// Reads and checks the options of boosts.
#include "app/boost_options.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "app/expect.hpp"
#include "quant/training_format.hpp"
#include "quant/weight_pack.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

/// "0.25" or "1/4".
double parse_fraction(const std::string& option, const std::string& text) {
  const std::size_t slash = text.find('/');
  std::istringstream above(text.substr(0, slash));
  std::istringstream below(slash == std::string::npos ? "1" : text.substr(slash + 1));
  double numerator = 0, denominator = 1;
  if (!(above >> numerator) || !above.eof() || !(below >> denominator) || !below.eof() ||
      !std::isfinite(numerator / denominator)) {
    throw UsageError(fmt::format("--{} {} is no fraction", option, text), "Give 0.25 or 1/4");
  }
  return numerator / denominator;
}

}  // namespace

void BoostOptions::add_to(CommandLine& line) {
  line.add("boost", share_,
           "FPGA ranks' share of the global batch, such as 1/4: they contribute its gradients");
  line.add("boost-format", typed_.gradient_format,
           "format of contributed gradients: int2 ... int16, fixed2 ... fixed16, bfp2 ... bfp8");
  line.add("boost-rounding", rounding_, "of back-propagated gradients: stochastic or nearest");
  line.add_flag("boost-feedback", feedback_,
                "contributed sums are rounded to the format, with error feedback");
  line.add("boost-weight", weight_,
           "of a contributed sample: 1, another number up to 1, or auto: as measured");
  line.add("boost-measure", typed_.measure_every,
           "steps between two measurements of contributed gradients against float32");
  line.add("boost-select", keep_,
           "part of the samples to train on, such as 1/3, chosen by scores of the FPGA ranks");
  line.add("select", select_,
           "rank (drawn by squared rank of the loss), importance (unbiased), hard or random");
  line.add("select-discount", typed_.discount,
           "with --select rank, how much less an old score counts; 0: its age is ignored");
  line.add("select-format", typed_.select_format,
           "format of the scores: one for FPGA ranks (default: the first of --fpga-format), or "
           "float32 on the GPU ranks");
  line.add_flag("select-insist", insist_, "allow --select hard with old scores");
  line.add_flag("boost-wait", typed_.wait, "GPU ranks wait for the FPGA ranks (for experiments)");
  line.add("boost-staleness", staleness_,
           "weights go to boosting FPGA ranks every N + 1 steps (0 with --boost, else 20)");
}

BoostSettings BoostOptions::parsed(const std::string& first_format, int batch) const {
  BoostSettings boost = typed_;
  boost.share = parse_fraction("boost", share_);
  boost.keep = parse_fraction("boost-select", keep_);
  boost.select = parse_select(select_);
  if (boost.select_format.empty()) boost.select_format = first_format;
  if (boost.contributes()) boost.staleness = usual_contribution_staleness;
  if (staleness_) boost.staleness = static_cast<std::uint64_t>(std::max(0, *staleness_));
  if (weight_ == "auto") {
    boost.weight.reset();
  } else {
    boost.weight = parse_fraction("boost-weight", weight_);
  }
  check(boost, batch);
  expect_effects(boost);
  return boost;
}

void BoostOptions::check(const BoostSettings& boost, int batch) const {
  expect(boost.share >= 0 && boost.share < 1, fmt::format("--boost {} is outside [0, 1)", share_),
         "Give the FPGA ranks' share of the global batch, such as 1/4");
  expect(!boost.contributes() || std::llround(boost.share * batch) >= 1,
         fmt::format("--boost {} of a batch of {} is not one sample", share_, batch),
         "Give a larger share or batch");
  expect(boost.keep > 0 && boost.keep <= 1,
         fmt::format("--boost-select {} is outside (0, 1]", keep_),
         "Give the part of the samples to train on, such as 1/3");
  expect(!boost.weight || (*boost.weight >= 0 && *boost.weight <= 1),
         fmt::format("--boost-weight {} is outside [0, 1]", weight_), "Give auto, or 1");
  expect(staleness_.value_or(0) >= 0,
         fmt::format("--boost-staleness {} is negative", staleness_.value_or(0)),
         "Give steps, or 0 for new weights each step");
  expect(boost.measure_every >= 1, "--boost-measure 0 measures nothing", "Give steps, such as 50");
  expect(rounding_ == "stochastic" || rounding_ == "nearest",
         fmt::format("unknown --boost-rounding '{}'", rounding_), "Known: stochastic, nearest");
  expect(boost.discount >= 0 && std::isfinite(boost.discount),
         fmt::format("--select-discount {} is negative", boost.discount),
         "Give 0 to ignore the age of scores, or more");
  if (boost.contributes()) quant::training_format(boost.gradient_format);
  if (boost.needs_scores()) quant::check_inference_format(boost.select_format);
  expect(!boost.judges_by_old_scores() || insist_,
         "--select hard trains on what old scores misjudged, and was seen to collapse with weights "
         "20 steps old",
         "Use --select rank, or --boost-wait --boost-staleness 0, or insist with --select-insist");
}

void BoostOptions::expect_effects(const BoostSettings& boost) const {
  const BoostOptions usual;
  const auto expect_usual = [](bool same, const char* option, const char* boosts) {
    expect(same, fmt::format("--{} has no effect without {}", option, boosts),
           fmt::format("Leave it out, or give {}", boosts));
  };
  if (!boost.contributes()) {
    const char* boosts = "--boost SHARE";
    expect_usual(typed_.gradient_format == usual.typed_.gradient_format, "boost-format", boosts);
    expect_usual(rounding_ == usual.rounding_, "boost-rounding", boosts);
    expect_usual(!feedback_, "boost-feedback", boosts);
    expect_usual(weight_ == usual.weight_, "boost-weight", boosts);
    expect_usual(typed_.measure_every == usual.typed_.measure_every, "boost-measure", boosts);
  }
  if (!boost.selects()) {
    const char* boosts = "--boost-select KEEP";
    expect_usual(select_ == usual.select_, "select", boosts);
    expect_usual(typed_.discount == usual.typed_.discount, "select-discount", boosts);
    expect_usual(typed_.select_format.empty(), "select-format", boosts);
    expect_usual(!insist_, "select-insist", boosts);
  } else {
    const bool by_rank = boost.select == SelectKind::rank, hard = boost.select == SelectKind::hard;
    const bool scored = boost.select != SelectKind::random;
    expect_usual(by_rank || typed_.discount == usual.typed_.discount, "select-discount",
                 "--select rank");
    expect_usual(hard || !insist_, "select-insist", "--select hard");
    expect(scored || typed_.select_format.empty(),
           "--select-format has no effect with --select random, which needs no scores",
           "Leave one of them out");
  }
  if (!boost.any()) {
    const char* boosts = "--boost SHARE or --boost-select KEEP";
    expect_usual(!typed_.wait, "boost-wait", boosts);
    expect_usual(!staleness_, "boost-staleness", boosts);
  }
}

}  // namespace dovetail::app
