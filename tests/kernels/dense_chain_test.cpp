// DenseChain against its twin, on devices with such tensor cores. dense_chain_warp_test.cpp runs
// the same kernels anywhere.
#include "ops/dense_chain.hpp"

#include <bit>

#include "kernels/compute_fixture.hpp"
#include "kernels/dense_chain_check.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using warp::DenseCase;

class DenseChainTest : public DeviceTest<int> {
 protected:
  void SetUp() override {
    DeviceTest<int>::SetUp();
    if (!device().takes(opencl::InstructionSet::mma))
      GTEST_SKIP() << device().info().name << " has no such tensor cores";
  }

  DenseCase random_case() {
    std::vector<int> widths;
    for (int i = between(3, 5); i > 0; --i) widths.push_back(16 * between(1, 25));
    if (between(0, 2) == 0) widths.front() = 16 * between(65, 300);
    widths.back() = 16 * between(1, 4);
    const int few = 2000, many = 9000;
    return warp::make_dense_case(
        widths, between(1, one_of({few, many})), between(1, widths.back()),
        one_of({ComputeFormat::tf32, ComputeFormat::bf16, ComputeFormat::fp16}),
        device().info().compute_units, 32, between(0, 1) == 1);
  }

  testing::ChainResults run(const DenseCase& c, const testing::ChainInputs& in) {
    DenseChain chain(device(), c, c.batch, c.format);
    const testing::ImageInput& from = in.images;
    DenseChain::Input input{.x = from.pixels.empty() ? upload(in.x) : poisoned(in.x.size())};
    if (!from.pixels.empty()) {
      input.images = {device().upload(std::span<const std::uint8_t>(from.pixels)), {}, from.first};
      input.laws = {upload(from.scale), upload(from.shift), from.augmentation, from.seed,
                    from.first_sample};
    }
    if (!from.samples.empty())
      input.images.samples = device().upload(std::span<const std::int32_t>(from.samples));
    const opencl::Buffer parameters = upload(in.parameters),
                         labels = device().upload(std::span<const std::int32_t>(in.labels)),
                         weights =
                             in.row_weights.empty() ? opencl::Buffer() : upload(in.row_weights),
                         statistics = poisoned(3), gradients = poisoned(c.all_parameters());
    chain.forward_backward(input, parameters, {labels, in.first_label}, weights, c.batch);
    chain.weight_gradients(input.x, gradients, statistics, c.batch);
    const opencl::Buffer dx = poisoned(in.x.size());
    if (c.propagates) chain.input_gradient(input.x, parameters, dx, c.batch, true);
    testing::ChainResults results{
        device().download<float>(input.x), device().download<float>(chain.maps()),
        device().download<float>(gradients), device().download<float>(statistics)};
    if (c.propagates) results.dx = device().download<float>(dx);
    return results;
  }
};

TEST_F(DenseChainTest, IsItsTwin) {
  testing::Random random(static_cast<unsigned>(between(0, 1 << 30)));
  std::vector<DenseCase> all = warp::dense_cases();
  while (all.size() < 20) {
    const DenseCase c = random_case();
    if (DenseChain::fits(c, c.batch)) all.push_back(c);
  }
  for (const DenseCase& c : all) {
    std::string widths = fmt::format("{}", c.layers.front().in);
    for (const DenseChainLayer& layer : c.layers) widths += fmt::format("-{}", layer.out);
    SCOPED_TRACE(fmt::format("{}, batch {}, {} classes, {}{}", widths, c.batch, c.classes,
                             to_string(c.format), c.propagates ? ", propagates" : ""));
    const int share =
        dense_chain::weight_tiles(c.layers).share(c.batch, device().info().compute_units);
    testing::expect_chain_is_twin(
        c, [&](const testing::ChainInputs& in) { return run(c, in); }, share, between(0, 1) == 1,
        random);
  }
}

/// Of floats as bits; empty where there is none.
std::string first_difference(const std::vector<float>& once, const std::vector<float>& twice) {
  const auto bits = [](float value) { return std::bit_cast<std::uint32_t>(value); };
  const auto differs = [&](std::size_t i) { return bits(once[i]) != bits(twice.at(i)); };
  std::size_t count = 0, first = 0;
  for (std::size_t i = once.size(); i-- > 0;) {
    if (!differs(i)) continue;
    first = i;
    ++count;
  }
  return count == 0 ? ""
                    : fmt::format("{} of {}, the first at {}: {} and {}", count, once.size(), first,
                                  once[first], twice[first]);
}

TEST_F(DenseChainTest, GivesTheSameBitsTwice) {
  testing::Random random(1);
  for (const int width : {784, 3136}) {
    const DenseCase c = warp::make_dense_case({width, 256, 128, 16}, 1000, 10, ComputeFormat::tf32,
                                              0, 0, width == 3136);
    testing::ChainInputs in;
    in.x = testing::to_float(random.normal(1000 * extent(width)));
    in.parameters = testing::to_float(random.normal(c.all_parameters()));
    in.labels.assign(1000, 3);
    SCOPED_TRACE(fmt::format("from {} inputs", width));
    const testing::ChainResults once = run(c, in), twice = run(c, in);
    EXPECT_EQ(first_difference(once.maps, twice.maps), "");
    EXPECT_EQ(first_difference(once.gradients, twice.gradients), "");
    EXPECT_EQ(first_difference(once.dx, twice.dx), "");
  }
}

}  // namespace
}  // namespace dovetail
