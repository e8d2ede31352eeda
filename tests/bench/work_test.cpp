// What parts of a step compute and move, against what whole models do.
#include "bench/work.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "device/test_device.hpp"
#include "model/zoo.hpp"

namespace dovetail::bench {
namespace {

bool is_chain(const std::string& part) {
  return part.starts_with(Plan::chain_name);
}

double operations(const std::map<std::string, PartWork>& parts, bool of_chain) {
  double sum = 0;
  for (const auto& [name, work] : parts) {
    if (is_chain(name) == of_chain) sum += work.operations;
  }
  return sum;
}

Plan make_plan(const Model& model, Variant variant, bool fuse_maps = true) {
  const auto channels = static_cast<std::size_t>(model.input().channels);
  const InputStatistics statistics{std::vector<float>(channels, 0.5f),
                                   std::vector<float>(channels, 0.25f)};
  return {testing::test_device(), model, statistics,
          PlanOptions{.training = true, .variant = variant, .fuse_maps = fuse_maps}};
}

TEST(WorkByPart, AddsUpToTheWorkOfThePlan) {
  const std::size_t batch = 1 + std::random_device()() % 100;
  for (const char* name : {"mlp", "cnn", "vgg-small"}) {
    const Model model = make_model(
        name, name == std::string("vgg-small") ? FeatureShape{3, 32, 32} : FeatureShape{1, 28, 28},
        10);
    for (const Variant variant : {Variant::cpu, Variant::gpu}) {
      const Plan plan = make_plan(model, variant);
      const ModelWork work = work_of(plan);
      const auto parts = work_by_part(plan, batch, false);
      const double whole = static_cast<double>(batch) * (work.forward + work.backward);
      EXPECT_NEAR(operations(parts, false), whole, 1e-9 * whole) << name;
      const std::vector<std::string>& names = plan.operation_names();
      for (std::size_t begin = 0; begin <= names.size(); ++begin) {
        const auto chained = work_by_part(plan, batch, false, {.chain_begin = begin});
        double sum = operations(chained, true);
        for (std::size_t i = 0; i < begin; ++i) {
          for (const char* direction : {" forward", " backward"})
            sum += chained.at(names[i] + direction).operations;
        }
        EXPECT_NEAR(sum, whole, 1e-9 * whole) << name << " from operation " << begin;
      }
    }
  }
}

TEST(WorkByPart, CountsTheBytesThatMustTravel) {
  const auto parts =
      work_by_part(make_plan(make_model("mlp", {1, 28, 28}, 10), Variant::cpu), 3, false);
  const double weights = 784 * 256 + 256, all = weights + 256 * 128 + 128 + 128 * 10 + 10;
  EXPECT_DOUBLE_EQ(parts.at("dense1 forward").bytes, 4 * (3 * (784 + 256) + weights));
  // The first layer passes no gradient on.
  EXPECT_DOUBLE_EQ(parts.at("dense1 backward").bytes, 4 * (3 * (784 + 256) + weights));
  EXPECT_DOUBLE_EQ(parts.at("dense2 backward").bytes,
                   4 * (3 * (2 * 256 + 128) + 2 * (256 * 128 + 128)));
  EXPECT_DOUBLE_EQ(parts.at("update").bytes, 4 * 5 * all);
  EXPECT_DOUBLE_EQ(parts.at("record").bytes, 4 * all);
  EXPECT_DOUBLE_EQ(parts.at("upload").bytes, 3 * (784 + 4));
  EXPECT_DOUBLE_EQ(parts.at("input").bytes, 3 * (784 + 4 * 784));
}

TEST(WorkByPart, ImagesThatStayOnTheDeviceAreNotUploaded) {
  const Plan plan = make_plan(make_model("mlp", {1, 28, 28}, 10), Variant::cpu);
  EXPECT_FALSE(work_by_part(plan, 5, true).contains("upload"));
}

// The map between a convolution and its pool is stored where they are apart, and only there.
TEST(WorkByPart, KnowsWhatIsFused) {
  const Model model = make_model("cnn", {1, 28, 28}, 10);
  const auto fused = work_by_part(make_plan(model, Variant::cpu), 1, false);
  const auto apart = work_by_part(make_plan(model, Variant::cpu, false), 1, false);
  const double weights = 9 * 32 + 32, in = 784, between = 784 * 32, out = 196 * 32;
  EXPECT_DOUBLE_EQ(fused.at("conv1 forward").bytes, 4 * (in + out + weights) + out);
  EXPECT_DOUBLE_EQ(apart.at("conv1 forward").bytes, 4 * (in + between + weights));
  EXPECT_GT(apart.size(), fused.size());
}

// The convolution behind reads what the batch norm would have read.
TEST(WorkByPart, ABatchNormThatIsDeferredMovesNoMap) {
  const Model model = make_model("vgg-small", {3, 32, 32}, 10);
  const auto bytes = [&](bool deferred) {
    const InputStatistics statistics{{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
    const Plan plan(
        testing::test_device(), model, statistics,
        PlanOptions{.training = true, .variant = Variant::gpu, .norms_as_read = deferred});
    const auto parts = work_by_part(plan, 2, false);
    return std::array{parts.at("norm1 forward").bytes, parts.at("conv2 forward").bytes};
  };
  const double map = 2 * 64 * 32 * 32, weights = 2 * 64;
  const auto apart = bytes(false), deferred = bytes(true);
  EXPECT_DOUBLE_EQ(apart[0], 4 * (2 * map + weights));
  EXPECT_DOUBLE_EQ(deferred[0], 4 * weights);
  EXPECT_DOUBLE_EQ(apart[1], deferred[1]);
}

// The first convolution reads what it has written and makes its gradient of the norm's.
TEST(WorkByPart, ANormsGradientWithinTheFirstConvolutionMovesNoMap) {
  const Plan plan = make_plan(make_model("vgg-small", {3, 32, 32}, 10), Variant::gpu);
  const auto apart = work_by_part(plan, 2, false);
  const auto within = work_by_part(
      plan, 2, false,
      TensorCoreFusion{.chain_begin = plan.chain_begin(), .first_norm_gradient = true});
  const double map = 4 * 2 * 64 * 32 * 32, law = 4 * 2 * 64;
  EXPECT_DOUBLE_EQ(apart.at("norm1 backward").bytes, 3 * map + 2 * law);
  EXPECT_DOUBLE_EQ(within.at("norm1 backward").bytes, 2 * law);
  EXPECT_DOUBLE_EQ(within.at("conv1 backward").bytes, apart.at("conv1 backward").bytes + map);
  EXPECT_DOUBLE_EQ(within.at("norm2 backward").bytes, apart.at("norm2 backward").bytes);
}

}  // namespace
}  // namespace dovetail::bench
