// Optimiser updates against their twin in float64, over several steps.
#include "ops/update.hpp"

#include <array>
#include <bit>
#include <limits>

#include "kernels/feature_maps.hpp"
#include "model/loss_scale.hpp"
#include "ops/record_sums.hpp"
#include "ops/reference/record_sums.hpp"
#include "ops/reference/update.hpp"

namespace dovetail {
namespace {

using namespace testing;

constexpr int steps = 8;
constexpr double samples = 64;  // gradients arrive as sums over so many

class UpdateTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, UpdateTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

/// One parameter, several work-groups with a rest, and a small odd number.
const std::vector<std::size_t> lengths = {1, 5000, 77};

std::vector<double> zeros(std::size_t count) {
  return std::vector<double>(count, 0.0);
}

TEST_P(UpdateTest, SgdIsTheTwin) {
  Random random(51);
  const std::vector<Update::Sgd> all = {
      {.learning_rate = 0.1f},
      {.learning_rate = 0.05f, .weight_decay = 0.01f},
      {.learning_rate = 0.05f, .momentum = 0.9f},
      {.learning_rate = 0.05f, .momentum = 0.9f, .weight_decay = 0.01f, .nesterov = true}};
  for (const Update::Sgd& settings : all) {
    for (const std::size_t n : lengths) {
      Update update(test_device(), GetParam(), n);
      std::vector<double> expected = random.normal(n);
      std::vector<double> velocity = zeros(n);
      const opencl::Buffer parameters = upload(expected);
      const opencl::Buffer momentum = upload(velocity);
      const reference::SgdSettings<double> twin{settings.learning_rate, settings.momentum,
                                                settings.weight_decay, settings.nesterov};
      for (int step = 1; step <= steps; ++step) {
        const std::vector<double> gradients = random.normal(n, 0, samples);
        update.sgd(parameters, upload(gradients), momentum, settings, 1 / samples);
        for (std::size_t i = 0; i < n; ++i) {
          reference::sgd(expected[i], gradients[i] / samples, velocity[i], twin);
        }
      }
      EXPECT_LT(relative_error(download(parameters), expected), 1e-6);
      EXPECT_LT(relative_error(download(momentum), velocity), 1e-6);
    }
  }
}

TEST_P(UpdateTest, AdamAndAdamWAreTheTwin) {
  Random random(52);
  const std::vector<Update::Adam> all = {{},
                                         {.learning_rate = 0.01f, .weight_decay = 0.1f},
                                         {.learning_rate = 0.01f,
                                          .beta1 = 0.8f,
                                          .beta2 = 0.95f,
                                          .epsilon = 1e-4f,
                                          .weight_decay = 0.1f,
                                          .decoupled = true}};
  for (const Update::Adam& settings : all) {
    for (const std::size_t n : lengths) {
      Update update(test_device(), GetParam(), n);
      std::vector<double> expected = random.normal(n);
      std::vector<double> first = zeros(n);
      std::vector<double> second = zeros(n);
      const opencl::Buffer parameters = upload(expected);
      const opencl::Buffer first_moment = upload(first);
      const opencl::Buffer second_moment = upload(second);
      const reference::AdamSettings<double> twin{settings.learning_rate, settings.beta1,
                                                 settings.beta2,         settings.epsilon,
                                                 settings.weight_decay,  settings.decoupled};
      for (int step = 1; step <= steps; ++step) {
        const std::vector<double> gradients = random.normal(n, 0, samples);
        update.adam(parameters, upload(gradients), first_moment, second_moment, settings,
                    1 / samples, static_cast<std::uint64_t>(step));
        for (std::size_t i = 0; i < n; ++i) {
          reference::adam(expected[i], gradients[i] / samples, first[i], second[i], twin, step);
        }
      }
      EXPECT_LT(relative_error(download(parameters), expected), 1e-5);
      EXPECT_LT(relative_error(download(first_moment), first), 1e-5);
      EXPECT_LT(relative_error(download(second_moment), second), 1e-5);
    }
  }
}

TEST_P(UpdateTest, AdamMovesParametersWhoseGradientIsTiny) {
  // The first step's direction is the gradient's sign, whatever its size: nothing may vanish on the
  // way.
  const Update::Adam settings{.learning_rate = 0.01f, .epsilon = 1e-12f};
  Update update(test_device(), GetParam(), 2);
  const opencl::Buffer parameters = upload({1.0, 1.0});
  update.adam(parameters, upload({1e-9, -1e-9}), upload({0, 0}), upload({0, 0}), settings, 1, 1);
  EXPECT_LT(relative_error(download(parameters), {0.99, 1.01}), 1e-4);
}

TEST_P(UpdateTest, PlainSgdNeedsNoMomentumBuffer) {
  Update update(test_device(), GetParam(), 3);
  const opencl::Buffer parameters = upload({1, 2, 3});
  update.sgd(parameters, upload({1, 1, 1}), {}, {.learning_rate = 0.5f}, 1);
  EXPECT_EQ(download(parameters), (std::vector<double>{0.5, 1.5, 2.5}));
}

// What an update with a record does to the parameters is what it does without, and the record is
// RecordSums' twin's.
TEST_P(UpdateTest, RecordsWhatItSees) {
  Random random(53);
  for (const std::size_t n : lengths) {
    for (const std::size_t rest : {std::size_t{6}, std::size_t{9000}}) {
      Update update(test_device(), GetParam(), n, rest);
      for (const bool broken : {false, true}) {
        std::vector<float> sums = to_float(random.normal(n + rest));
        for (int i = 0; broken && i < 3; ++i) {
          const int place = random.integer(0, static_cast<int>(n) - 1);
          sums[static_cast<std::size_t>(place)] = std::numeric_limits<float>::infinity();
        }
        const std::vector<float> gradients(sums.begin(),
                                           sums.begin() + static_cast<std::ptrdiff_t>(n));
        const std::vector<double> values = random.normal(n);
        const reference::SumsRecord expected = reference::record_sums(sums, n);
        const auto expect_same = [&](const auto& run) {
          const opencl::Buffer all = test_device().upload(std::span<const float>(sums)),
                               alone = test_device().upload(std::span<const float>(gradients));
          const std::array<opencl::Buffer, 3> with{upload(values), upload(zeros(n)),
                                                   upload(zeros(n))},
              without{upload(values), upload(zeros(n)), upload(zeros(n))};
          const std::vector<std::uint32_t> start(rest + 1, RecordSums::none);
          const opencl::Buffer record = test_device().upload(std::span<const std::uint32_t>(start));
          run(with, all, record);
          run(without, alone, opencl::Buffer());
          for (std::size_t i = 0; i < with.size(); ++i) {
            EXPECT_EQ(test_device().download<std::uint32_t>(with[i]),
                      test_device().download<std::uint32_t>(without[i]));
          }
          const auto found = test_device().download<std::uint32_t>(record);
          EXPECT_EQ(found.back(), expected.first_not_finite);
          for (std::size_t i = 0; i < rest; ++i)
            ASSERT_EQ(found[i], std::bit_cast<std::uint32_t>(expected.rest[i])) << i;
        };
        for (const float momentum : {0.0f, 0.9f}) {
          expect_same([&](const auto& buffers, const auto& from, const auto& record) {
            update.sgd(buffers[0], from, buffers[1], {.momentum = momentum}, 0.5f,
                       {.record = record});
          });
        }
        expect_same([&](const auto& buffers, const auto& from, const auto& record) {
          update.adam(buffers[0], from, buffers[1], buffers[2], {}, 0.5f, 3, {.record = record});
        });
      }
    }
  }
}

// What an update with a loss scale does is what one without does to the gradients unscaled, and
// nothing where one of them is broken; the scale becomes what LossScale says.
TEST_P(UpdateTest, FollowsALossScale) {
  Random random(54);
  constexpr std::size_t rest = 6;
  for (const std::size_t n : lengths) {
    Update update(test_device(), GetParam(), n, rest);
    RecordSums record_sums(test_device(), GetParam(), n, rest);
    for (const LossScale& before :
         {LossScale(1024), LossScale(0.5f, 7), LossScale(8, LossScale::patience - 1),
          LossScale(LossScale::largest, LossScale::patience - 1)}) {
      for (const bool broken : {false, true}) {
        std::vector<double> gradients = random.normal(n), sums;
        for (const double gradient : gradients)
          sums.push_back(gradient * static_cast<double>(before.value()));
        sums.insert(sums.end(), rest, 1.0);
        if (broken) sums[n - 1] = std::numeric_limits<double>::quiet_NaN();
        const std::vector<double> values = random.normal(n);
        const opencl::Buffer all = upload(sums), alone = upload(gradients);
        const auto expect_follows = [&](const auto& run) {
          const std::vector<std::uint32_t> start(rest + 1, RecordSums::none);
          const std::vector<std::uint32_t> state{std::bit_cast<std::uint32_t>(before.value()),
                                                 static_cast<std::uint32_t>(before.steps())};
          const BesideUpdate beside{
              .record = test_device().upload(std::span<const std::uint32_t>(start)),
              .scale = test_device().upload(std::span<const std::uint32_t>(state)),
              .next_scale = test_device().allocate(Update::scale_bytes),
              .largest_scale = LossScale::largest,
              .patience = std::uint32_t{LossScale::patience}};
          record_sums.run(all, beside.record);
          const std::array<opencl::Buffer, 3> with{upload(values), upload(zeros(n)),
                                                   upload(zeros(n))},
              without{upload(values), upload(zeros(n)), upload(zeros(n))};
          run(with, all, beside);
          if (!broken) run(without, alone, BesideUpdate{});
          for (std::size_t i = 0; i < with.size(); ++i) {
            EXPECT_EQ(test_device().download<std::uint32_t>(with[i]),
                      test_device().download<std::uint32_t>(without[i]));
          }
          LossScale after = before;
          after.after(!broken);
          const auto next = test_device().download<std::uint32_t>(beside.next_scale);
          EXPECT_EQ(std::bit_cast<float>(next[0]), after.value());
          EXPECT_EQ(next[1], after.steps());
        };
        for (const float momentum : {0.0f, 0.9f}) {
          expect_follows([&](const auto& buffers, const auto& from, const auto& beside) {
            update.sgd(buffers[0], from, buffers[1], {.momentum = momentum}, 0.5f, beside);
          });
        }
        expect_follows([&](const auto& buffers, const auto& from, const auto& beside) {
          update.adam(buffers[0], from, buffers[1], buffers[2], {}, 0.5f, 3, beside);
        });
      }
    }
  }
}

// Ranks that sum their gradients never record.
TEST_P(UpdateTest, BuildsTheKernelsThatRecordWithTheFirstRecord) {
  opencl::Device device(test_device_index());
  Update update(device, GetParam(), 4, 2);
  const int without = device.builds().compiled;
  const opencl::Buffer parameters = device.allocate_zeroed(4 * sizeof(float)),
                       sums = device.allocate_zeroed(6 * sizeof(float)),
                       record = device.allocate_zeroed(3 * sizeof(float));
  update.sgd(parameters, parameters, {}, {}, 1);
  EXPECT_EQ(device.builds().compiled, without);
  for (int step = 0; step < 2; ++step) {
    update.sgd(parameters, sums, {}, {}, 1, {.record = record});
    EXPECT_EQ(device.builds().compiled, without + 1);
  }
  device.finish();
}

TEST_P(UpdateTest, RefusesBuffersOfOtherLengths) {
  Update update(test_device(), GetParam(), 4);
  const opencl::Buffer four = upload({1, 2, 3, 4});
  const opencl::Buffer three = upload({1, 2, 3});
  EXPECT_THROW(update.sgd(four, three, {}, {}, 1), Error);
  EXPECT_THROW(update.sgd(four, four, {}, {.momentum = 0.9f}, 1), Error);
  EXPECT_THROW(update.adam(four, four, four, three, {}, 1, 1), Error);
  EXPECT_THROW(update.adam(four, four, four, four, {}, 1, 0), Error);
  EXPECT_THROW(Update(test_device(), GetParam(), 0), Error);
  EXPECT_THROW(update.sgd(four, four, {}, {}, 1, {.record = three}), Error)
      << "made without records";
  Update recording(test_device(), GetParam(), 4, 2);
  const opencl::Buffer six = upload({1, 2, 3, 4, 5, 6});
  EXPECT_NO_THROW(recording.sgd(four, six, {}, {}, 1, {.record = three}));
  EXPECT_THROW(recording.sgd(four, four, {}, {}, 1, {.record = three}), Error);
  EXPECT_THROW(recording.sgd(four, six, {}, {}, 1, {.record = four}), Error);
  EXPECT_THROW(recording.sgd(four, six, {}, {}, 1), Error);
  EXPECT_THROW(
      recording.sgd(four, six, {}, {}, 1, {.record = three, .scale = three, .next_scale = three}),
      Error);
}

}  // namespace
}  // namespace dovetail
