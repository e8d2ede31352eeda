// Cuts for tensor cores as candidates of the tuner. Their kernels run on the host here, so that
// trials and checks do what they do on such a GPU; only times mean nothing.
#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "device/test_device.hpp"
#include "kernels/warp/chain_runner.hpp"
#include "kernels/warp/conv_runner.hpp"
#include "model/zoo.hpp"
#include "plan/chain_problem.hpp"
#include "plan/conv_problem.hpp"
#include "plan/fixture.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

using plan::Tuner;
using ::testing::HasSubstr;

/// Copies into a buffer that is there.
void overwrite(opencl::Device& device, const opencl::Buffer& buffer,
               const std::vector<float>& values) {
  device.write(buffer, values.data(), values.size() * sizeof(float));
}

/// As Conv2dMma, from host memory to host memory in between.
class HostConv {
 public:
  HostConv(opencl::Device& device, const warp::Case& c, std::size_t number)
      : device_(device), shape_(c.shape), runner_(c, number) {}

  void forward(const opencl::Buffer& x, const opencl::Buffer& weight, const opencl::Buffer& bias,
               const opencl::Buffer& y, int, bool relu) {
    overwrite(device_, y, runner_.forward(get(x), get(weight), get(bias), relu));
  }
  void set_input_law(const NormLaw& law) { runner_.set_law(get(law.rows), law.pitch); }
  void set_output_norm(const opencl::Buffer& y, const NormLaw& law) {
    std::vector<float> rows = get(law.rows);
    rows[5 * extent(law.pitch)] += wrong_slope_by_;
    runner_.set_output_norm(get(y), rows, law.pitch);
  }
  const TileStatistics* statistics() {
    if (!shape_.statistics) return nullptr;
    tiles_ = uploaded<TileStatistics>(runner_.statistics());
    return &tiles_;
  }
  const TileGradients* gradient_sums() {
    if (!shape_.gradient_sums) return nullptr;
    gradient_tiles_ = uploaded<TileGradients>(runner_.gradient_sums());
    return &gradient_tiles_;
  }
  void spoil_statistics(float by) { wrong_by_ = by; }
  void spoil_slope(float by) { wrong_slope_by_ = by; }
  void input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                      const opencl::Buffer& x, const opencl::Buffer& dx, int, bool) {
    overwrite(device_, dx, runner_.input_gradient(get(dy), get(weight), get(x)));
  }
  void weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                       const opencl::Buffer& dweight, const opencl::Buffer& dbias, int) {
    const auto sums = runner_.weight_gradient(get(x), get(dy));
    overwrite(device_, dweight, sums.weight);
    overwrite(device_, dbias, sums.bias);
  }

 private:
  std::vector<float> get(const opencl::Buffer& buffer) { return device_.download<float>(buffer); }
  template <typename Tiles>
  Tiles uploaded(testing::Statistics found) {
    found.deviations.back() += wrong_by_;
    const auto upload = [&](const std::vector<float>& values) {
      return device_.upload(std::span<const float>(values));
    };
    return {upload(found.means), upload(found.deviations), found.pixels};
  }

  opencl::Device& device_;
  Conv2dPoolShape shape_;
  warp::ConvRunner runner_;
  TileStatistics tiles_;
  TileGradients gradient_tiles_;
  float wrong_by_ = 0, wrong_slope_by_ = 0;
};

/// A case that fills its layouts.
warp::Case whole(const warp::Case& c) {
  warp::Case all = c;
  all.extents.batch = c.shape.input.batch;
  return all;
}

bool same_problem(const warp::Case& a, const warp::Case& b) {
  return a.extents.in == b.extents.in && a.extents.out == b.extents.out &&
         a.extents.height == b.extents.height && a.pool == b.pool && a.format == b.format;
}

std::vector<Direction> directions_of(const warp::Case& c) {
  std::vector<Direction> all{Direction::forward, Direction::weight_gradient};
  if (!conv_mma::is_narrow(c.shape.input)) all.push_back(Direction::input_gradient);
  return all;
}

double distance(const std::vector<float>& found, const std::vector<float>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(static_cast<double>(found.at(i)) - static_cast<double>(expected[i]), 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(difference / norm);
}

class MmaChoice : public ::testing::Test {
 protected:
  opencl::Device& device() { return testing::test_device(); }
  std::string fault_of(plan::ConvProblem& problem, const warp::Case& c, std::size_t number) {
    const Tuner::Trial trial =
        problem.trial(std::make_shared<HostConv>(device(), whole(c), number));
    trial.enqueue();
    return trial.fault();
  }
};

// conv2d_mma_warp_test holds each cut against its twin.
TEST_F(MmaChoice, TheTwinsCheckAcceptsEveryShapeAndFindsAnotherFormat) {
  constexpr std::size_t shapes = 7;  // then come other cuts of theirs
  const std::vector<warp::Case> cases = warp::cases();
  for (std::size_t i = 0; i < shapes; ++i) {
    const warp::Case& c = cases[i];
    for (const Direction direction : directions_of(c)) {
      SCOPED_TRACE(fmt::format("case {}, {}", i, to_string(direction)));
      plan::ConvProblem problem(device(), c.shape, c.format, direction);
      EXPECT_EQ(fault_of(problem, c, i), "");
      if (i % 2 == 1) continue;
      const ComputeFormat other =
          c.format == ComputeFormat::bf16 ? ComputeFormat::tf32 : ComputeFormat::bf16;
      plan::ConvProblem foreign(device(), c.shape, other, direction);
      EXPECT_THAT(fault_of(foreign, c, i), HasSubstr("from the twin's"));
    }
  }
}

TEST_F(MmaChoice, TheCheckLooksAtStatisticsToo) {
  const std::vector<warp::Case> cases = warp::cases();
  int checked = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const warp::Case& c = cases[i];
    if (c.kernels.forward) continue;
    for (const Direction direction : {Direction::forward, Direction::input_gradient}) {
      const bool is_forward = direction == Direction::forward;
      if (is_forward ? !c.shape.statistics : !c.shape.gradient_sums) continue;
      SCOPED_TRACE(fmt::format("case {}, {}", i, to_string(direction)));
      plan::ConvProblem problem(device(), c.shape, c.format, direction);
      const auto conv = std::make_shared<HostConv>(device(), whole(c), i);
      const Tuner::Trial trial = problem.trial(conv);
      trial.enqueue();
      EXPECT_EQ(trial.fault(), "");
      conv->spoil_statistics(10);
      EXPECT_THAT(trial.fault(), HasSubstr("statistics: its result is"));
      ++checked;
    }
  }
  EXPECT_EQ(checked, 11);
}

TEST_F(MmaChoice, TheCheckTakesGradientsThroughTheNormBehind) {
  const std::vector<warp::Case> cases = warp::cases();
  int checked = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const warp::Case& c = cases[i];
    if (!c.shape.norm_gradient) continue;
    SCOPED_TRACE(fmt::format("case {}", i));
    plan::ConvProblem problem(device(), c.shape, c.format, Direction::weight_gradient);
    EXPECT_EQ(fault_of(problem, c, i), "");
    const auto conv = std::make_shared<HostConv>(device(), whole(c), i);
    conv->spoil_slope(1);
    const Tuner::Trial trial = problem.trial(conv);
    trial.enqueue();
    EXPECT_THAT(trial.fault(), HasSubstr("from the twin's"));
    ++checked;
  }
  EXPECT_GT(checked, 3);
}

// What tuned_conv_mma does, with kernels that the host runs: one of them wrong.
TEST_F(MmaChoice, ChoosesARightCutOnceAndRemembersItByName) {
  constexpr std::size_t first = 0;
  const std::vector<warp::Case> cases = warp::cases();
  const ScratchFolder scratch;
  opencl::Device cached(testing::test_device_index(),
                        std::make_shared<CacheFolder>(scratch / "cache"));
  std::vector<std::size_t> cuts;
  for (std::size_t i = 0; i < cases.size() && cuts.size() < 3; ++i) {
    if (same_problem(cases[i], cases[first])) cuts.push_back(i);
  }
  ASSERT_EQ(cuts.size(), 3u);
  std::vector<Tuner::Candidate> candidates{{"of another format"}};
  for (const std::size_t cut : cuts)
    candidates.push_back({cases[cut].kernels.name(Direction::forward)});
  plan::ConvProblem problem(cached, cases[first].shape, cases[first].format, Direction::forward);
  plan::ConvProblem foreign(cached, cases[first].shape, ComputeFormat::bf16, Direction::forward);
  int prepared = 0;
  const auto prepare = [&](std::size_t i) {
    ++prepared;
    const std::size_t cut = cuts[i == 0 ? 0 : i - 1];
    const auto conv = std::make_shared<HostConv>(cached, whole(cases[cut]), cut);
    return i == 0 ? foreign.trial(conv) : problem.trial(conv);
  };
  Tuner tuner(cached);
  const std::size_t chosen = tuner.choose("a convolution", candidates, prepare);
  EXPECT_GT(chosen, 0u);
  EXPECT_EQ(tuner.to_json().at("a convolution"), candidates[chosen].name);
  EXPECT_EQ(tuner.choices().front().seconds.size(), 3u);
  EXPECT_EQ(prepared, 4);
  Tuner later(cached);
  EXPECT_EQ(later.choose("a convolution", candidates, prepare), chosen);
  EXPECT_EQ(later.choices().front().origin, Tuner::Origin::remembered);
  EXPECT_EQ(prepared, 4);
}

TEST_F(MmaChoice, TheEstimatedCutComesFirstAndAllHaveNamesOfTheirOwn) {
  for (const warp::Case& c : warp::cases()) {
    for (const int batch : {1, 64, 4096}) {
      Conv2dPoolShape shape = c.shape;
      shape.input.batch = shape.output.batch = batch;
      const bool narrow = conv_mma::is_narrow(shape.input);
      for (const Direction direction : directions_of(c)) {
        SCOPED_TRACE(fmt::format("batch {}, {}", batch, to_string(direction)));
        const auto candidates = conv_mma_candidates(shape, direction, c.format, true);
        std::set<std::string> names;
        for (const ConvMmaKernels& each : candidates) {
          EXPECT_TRUE(names.insert(each.name(direction)).second) << each.name(direction);
          const int bytes = direction == Direction::weight_gradient
                                ? (narrow ? conv_mma::narrow_weight(shape, each.weight_gradient)
                                          : conv_mma::wide_weight(shape, each.weight_gradient))
                                      .shared_bytes()
                            : direction == Direction::input_gradient
                                ? conv_mma::turned(shape, each.input_gradient).shared_bytes()
                                : (narrow ? conv_mma::narrow_forward(shape, each.forward)
                                          : conv_mma::wide_forward(shape, each.forward))
                                      .shared_bytes();
          EXPECT_LE(bytes, conv_mma::most_shared);
        }
        EXPECT_LE(conv_mma_candidates(shape, direction, c.format, false).size(), 4u)
            << "each is a program to compile";
        EXPECT_LE(candidates.size(), 6u);
        if (direction == Direction::forward && !narrow) {
          EXPECT_EQ(*candidates.front().forward, conv_mma::wide_forward(shape).cut);
        }
        if (direction == Direction::input_gradient) {
          EXPECT_EQ(*candidates.front().input_gradient, conv_mma::turned(shape).cut);
        }
      }
    }
  }
  // vgg-small's 64 -> 64 on 32x32: large tiles where there are enough, and smaller ones beside
  // them.
  const Conv2dPoolShape wide{
      feature_map(1024, 32, 32, 64, 1), feature_map(1024, 32, 32, 64, 1), 3, 1, 1, 1};
  EXPECT_EQ(conv_mma_candidates(wide, Direction::forward, ComputeFormat::tf32, false)
                .front()
                .name(Direction::forward),
            "mma, 256x64 by 4 warps");
  EXPECT_EQ(conv_mma_candidates(wide, Direction::forward, ComputeFormat::tf32, false).size(), 3u);
}

// Sums by warpgroup go in another order.
TEST_F(MmaChoice, WarpgroupsAreForThoseWhoAskForThem) {
  const Conv2dPoolShape wide{
      feature_map(1024, 32, 32, 64, 1), feature_map(1024, 32, 32, 64, 1), 3, 1, 1, 1};
  for (const Direction direction :
       {Direction::forward, Direction::input_gradient, Direction::weight_gradient}) {
    const auto count = [&](bool warpgroups) {
      return std::ranges::count_if(
          conv_mma_candidates(wide, direction, ComputeFormat::tf32, warpgroups),
          &ConvMmaKernels::by_warpgroup);
    };
    EXPECT_GT(count(true), 0);
    EXPECT_EQ(count(false), 0);
  }
}

// What adds up in one order, whatever the batch and so the number of ranks.
TEST_F(MmaChoice, TheSameBitsAreOfWarpgroupsAloneOrOfWarpsAlone) {
  for (const warp::Case& c : warp::cases()) {
    for (const Direction direction : directions_of(c)) {
      for (const bool warpgroups : {false, true}) {
        std::set<bool> kinds;
        std::set<std::string> gradients;
        for (const int batch : {1, 64, 4096}) {
          Conv2dPoolShape shape = c.shape;
          shape.input.batch = shape.output.batch = batch;
          const auto candidates = conv_mma_candidates(shape, direction, c.format, warpgroups, true);
          ASSERT_FALSE(candidates.empty());
          for (const ConvMmaKernels& each : candidates) {
            kinds.insert(each.by_warpgroup());
            if (direction == Direction::weight_gradient) gradients.insert(each.name(direction));
          }
        }
        EXPECT_EQ(kinds.size(), 1u) << to_string(direction);
        EXPECT_LE(gradients.size(), 1u);
        const auto all = conv_mma_candidates(c.shape, direction, c.format, warpgroups);
        EXPECT_EQ(*kinds.begin(), std::ranges::any_of(all, &ConvMmaKernels::by_warpgroup));
      }
    }
  }
}

/// As DenseChain, on the host.
class HostChain {
 public:
  HostChain(opencl::Device& device, const warp::DenseCase& c, std::size_t number,
            const DenseChainKernels& kernels)
      : device_(device),
        case_(c),
        runner_(c, warp::dense_launches().at(number)),
        kernels_(kernels),
        maps_(device.allocate(dense_chain::map_elements(c.layers, c.batch) * sizeof(float))) {}

  void forward_backward(const DenseChain::Input& input, const opencl::Buffer& parameters,
                        const LabelSource& labels, const opencl::Buffer&, int) {
    testing::ChainInputs in;
    in.x = device_.download<float>(input.x);
    in.parameters = device_.download<float>(parameters);
    in.labels = device_.download<std::int32_t>(labels.labels);
    std::vector<float> maps = device_.download<float>(maps_);
    std::vector<float> losses(extent(case_.batch)), hits = losses;
    runner_.rows(in, in.x, maps, losses, hits, kernels_.part_depth);
    overwrite(device_, maps_, maps);
  }
  void weight_gradients(const opencl::Buffer& x, const opencl::Buffer& gradients,
                        const opencl::Buffer&, int) {
    overwrite(device_, gradients,
              runner_.weight_gradients(device_.download<float>(x), device_.download<float>(maps_),
                                       kernels_.groups_per_unit));
  }
  void input_gradient(const opencl::Buffer& x, const opencl::Buffer& parameters,
                      const opencl::Buffer& dx, int, bool mask) {
    testing::ChainInputs in;
    in.parameters = device_.download<float>(parameters);
    overwrite(device_, dx,
              runner_.input_gradient(in, device_.download<float>(x), device_.download<float>(maps_),
                                     mask));
  }
  const opencl::Buffer& maps() const { return maps_; }

 private:
  opencl::Device& device_;
  warp::DenseCase case_;
  warp::ChainRunner runner_;
  DenseChainKernels kernels_;
  opencl::Buffer maps_;
};

TEST_F(MmaChoice, TheCheckOfAChainAcceptsEveryCutAndFindsAnotherFormat) {
  const std::vector<warp::DenseCase> cases = warp::dense_cases();
  for (const std::size_t i : {0u, 3u, 4u, 5u, 6u}) {
    const warp::DenseCase& c = cases[i];
    const auto fault = [&](ComputeFormat format, Direction direction,
                           const DenseChainKernels& kernels) {
      plan::ChainProblem problem(device(), c, c.batch, format);
      const Tuner::Trial trial =
          problem.trial(std::make_shared<HostChain>(device(), c, i, kernels), direction);
      trial.enqueue();
      return trial.fault();
    };
    const ComputeFormat other =
        c.format == ComputeFormat::bf16 ? ComputeFormat::tf32 : ComputeFormat::bf16;
    for (const Direction direction : {Direction::forward, Direction::weight_gradient}) {
      SCOPED_TRACE(fmt::format("case {}, {}", i, to_string(direction)));
      for (const DenseChainKernels& each :
           dense_chain_candidates(c, c.batch, c.compute_units, direction))
        EXPECT_EQ(fault(c.format, direction, each), "");
      EXPECT_THAT(fault(other, direction, {}), HasSubstr("layer 1: its result is"));
    }
  }
}

TEST_F(MmaChoice, AChainIsCutAsEstimatedFirst) {
  const warp::DenseCase mlp = warp::dense_cases().front();
  const auto names = [&](int batch, Direction direction) {
    std::vector<std::string> all;
    for (const auto& each : dense_chain_candidates(mlp, batch, 132, direction))
      all.push_back(each.name(direction));
    return all;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(names(64, Direction::forward),
              ElementsAre("mma chain, 16 rows", "mma chain, 32 rows"));
  EXPECT_THAT(names(4096, Direction::forward),
              ElementsAre("mma chain, 32 rows", "mma chain, 16 rows"));
  EXPECT_THAT(names(64, Direction::weight_gradient), ElementsAre("mma chain, 4 groups a unit"));
  EXPECT_THAT(names(4096, Direction::weight_gradient),
              ElementsAre("mma chain, 4 groups a unit", "mma chain, 2 groups a unit",
                          "mma chain, 8 groups a unit", "mma chain, 1 group a unit"));
}

TEST_F(MmaChoice, AFirstLayerApartIsCutIntoPartsToo) {
  const auto names = [](int batch) {
    std::vector<std::string> all;
    const warp::DenseCase tail =
        warp::make_dense_case({3136, 128, 16}, batch, 10, ComputeFormat::tf32, 132, 0, true);
    for (const auto& each : dense_chain_candidates(tail, batch, 132, Direction::forward))
      all.push_back(each.name(Direction::forward));
    return all;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(names(128),
              ElementsAre("mma chain, 16 rows, parts of 192", "mma chain, 16 rows, parts of 96",
                          "mma chain, 16 rows, parts of 384", "mma chain, 32 rows, parts of 192",
                          "mma chain, 32 rows, parts of 96", "mma chain, 32 rows, parts of 384"));
  EXPECT_THAT(
      names(1 << 20),
      ElementsAre("mma chain, 32 rows, parts of 3136", "mma chain, 32 rows, parts of 1568",
                  "mma chain, 16 rows, parts of 3136", "mma chain, 16 rows, parts of 1568"));
}

// Where there is such a GPU: all of it together, and what is named.
TEST_F(MmaChoice, ATunedPlanOnTensorCoresNamesItsCutsAndComputesTheSameGradients) {
  if (!device().takes(opencl::InstructionSet::mma))
    GTEST_SKIP() << device().info().name << " has no such tensor cores";
  for (const std::string name : {"cnn", "mlp"}) {
    const Model model = make_model(name, {1, 28, 28}, 10);
    const testing::RandomBatch batch = testing::random_batch(model, 200, 3);
    const auto gradients = [&](Tuner* tuner) {
      Plan plan(device(), model, testing::statistics_for(model),
                {.batch = 200, .training = true, .format = ComputeFormat::tf32, .tuner = tuner});
      plan.load_parameters(model.initial_parameters(1));
      plan.enqueue_gradients(batch.images, batch.labels, 0);
      return plan.gradients(plan.map_reduction().as<float>());
    };
    Tuner tuner(device());
    const std::vector<float> usual = gradients(nullptr), tuned = gradients(&tuner);
    EXPECT_THAT(tuner.to_json().dump(), HasSubstr(name == "mlp" ? "\"mma chain, " : "\"mma, "));
    EXPECT_LT(distance(tuned, usual), 1e-3);
  }
}

// Where there is such a GPU: what batch norms need comes with the products beside them, or, with
// same_bits, from passes over the maps. Either way a gradient errs by what tf32 rounds alone.
TEST_F(MmaChoice, NormsWithinConvolutionsLeadToTheSameGradients) {
  if (!device().takes(opencl::InstructionSet::mma))
    GTEST_SKIP() << device().info().name << " has no such tensor cores";
  const Model model = make_model("vgg-small", {3, 32, 32}, 10);
  for (const std::size_t samples : {64u, 61u}) {
    SCOPED_TRACE(samples);
    const testing::RandomBatch batch = testing::random_batch(model, samples, 3);
    const auto gradients = [&](ComputeFormat format, bool same_bits) {
      Plan plan(device(), model, testing::statistics_for(model),
                {.batch = 64, .training = true, .format = format, .same_bits = same_bits});
      plan.load_parameters(model.initial_parameters(1));
      plan.enqueue_gradients(batch.images, batch.labels, 0);
      return plan.gradients(plan.map_reduction().as<float>());
    };
    const std::vector<float> exact = gradients(ComputeFormat::float32, false);
    const std::vector<float> within = gradients(ComputeFormat::tf32, false);
    const std::vector<float> apart = gradients(ComputeFormat::tf32, true);
    std::size_t begin = 0;
    for (const ParameterSpec& parameter : model.parameters()) {
      const auto part = [&](const std::vector<float>& of) {
        const auto first = of.begin() + static_cast<std::ptrdiff_t>(begin);
        return std::vector<float>(first,
                                  first + static_cast<std::ptrdiff_t>(volume(parameter.shape)));
      };
      EXPECT_LT(distance(part(within), part(exact)),
                1.5 * distance(part(apart), part(exact)) + 1e-3)
          << parameter.name;
      begin += volume(parameter.shape);
    }
  }
}

}  // namespace
}  // namespace dovetail
