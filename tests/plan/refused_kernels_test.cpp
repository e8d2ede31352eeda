// A driver that takes the probes' instructions and refuses the kernels made of them: plans go on
// with plain kernels. A device that lacks memory for such kernels has refused nothing.
//
// Functions of OpenCL are defined here and go on to the real ones: they call the device an NVIDIA
// GPU, put a plain kernel in each probe's place, and an #error into every other source with inline
// assembly, or leave the assembly out; they fail to make one buffer; and they note what is launched
// instead of launching it. Handles are pointers, so
// that no header of OpenCL is needed.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>

#include "model/zoo.hpp"
#include "plan/fixture.hpp"
#include "plan/tuner.hpp"
#include "support/next_function.hpp"
#include "support/scoped_variable.hpp"

namespace {

using dovetail::testing::next_function;

int refused = 0;
bool takes_assembly = false;    // what such kernels compute is nonsense
int buffers_until_failure = 0;  // 0: none fails
std::int32_t failure_of_buffer = 0;
std::map<void*, std::string> kernel_names{};
std::vector<std::string>* launched = nullptr;  // where there is one, nothing is

/// The source without its assembly.
std::string without_assembly(std::string text) {
  for (const std::string word : {"asm volatile(", "asm("}) {
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at))
      text.replace(at, word.size(), "left_out(");
  }
  return "#define left_out(...)\n" + text;
}

}  // namespace

extern "C" {
std::int32_t clGetDeviceInfo(void* device, std::uint32_t key, std::size_t bytes, void* value,
                             std::size_t* length);
std::int32_t clGetDeviceInfo(void* device, std::uint32_t key, std::size_t bytes, void* value,
                             std::size_t* length) {
  constexpr std::uint32_t type = 0x1000;
  constexpr std::uint64_t gpu = 1 << 2;
  static auto* const function = next_function("clGetDeviceInfo", &clGetDeviceInfo);
  const std::int32_t status = function(device, key, bytes, value, length);
  if (key == type && value != nullptr) std::memcpy(value, &gpu, sizeof gpu);
  return status;
}

std::int32_t clGetPlatformInfo(void* platform, std::uint32_t key, std::size_t bytes, void* value,
                               std::size_t* length);
std::int32_t clGetPlatformInfo(void* platform, std::uint32_t key, std::size_t bytes, void* value,
                               std::size_t* length) {
  constexpr std::uint32_t name = 0x0902;
  constexpr char pretended[] = "NVIDIA CUDA";
  static auto* const function = next_function("clGetPlatformInfo", &clGetPlatformInfo);
  const std::int32_t status = function(platform, key, bytes, value, length);
  if (key == name && value != nullptr && bytes >= sizeof pretended)
    std::memcpy(value, pretended, sizeof pretended);
  return status;
}

void* clCreateProgramWithSource(void* context, std::uint32_t count, const char** texts,
                                const std::size_t* lengths, std::int32_t* status);
void* clCreateProgramWithSource(void* context, std::uint32_t count, const char** texts,
                                const std::size_t* lengths, std::int32_t* status) {
  static auto* const function =
      next_function("clCreateProgramWithSource", &clCreateProgramWithSource);
  const std::string text(texts[0], lengths[0]);
  const auto has = [&](const char* words) { return text.find(words) != std::string::npos; };
  if (!has("asm")) return function(context, count, texts, lengths, status);
  std::string instead = "#error the driver refuses these instructions\n";
  if (has("void probe(")) {
    instead =
        "__kernel void probe(__global const float* source, __global float* result) {\n"
        "  result[get_local_id(0)] = " +
        std::string(has("mma") ? "32" : "4") + ";\n}\n";
  } else if (takes_assembly) {
    instead = without_assembly(text);
  } else {
    ++refused;
  }
  const char* only = instead.c_str();
  const std::size_t length = instead.size();
  return function(context, 1, &only, &length, status);
}

void* clCreateBuffer(void* context, std::uint64_t flags, std::size_t bytes, void* host,
                     std::int32_t* status);
void* clCreateBuffer(void* context, std::uint64_t flags, std::size_t bytes, void* host,
                     std::int32_t* status) {
  static auto* const function = next_function("clCreateBuffer", &clCreateBuffer);
  if (buffers_until_failure > 0 && --buffers_until_failure == 0) {
    *status = failure_of_buffer;
    return nullptr;
  }
  return function(context, flags, bytes, host, status);
}

void* clCreateKernel(void* program, const char* name, std::int32_t* status);
void* clCreateKernel(void* program, const char* name, std::int32_t* status) {
  static auto* const function = next_function("clCreateKernel", &clCreateKernel);
  void* const kernel = function(program, name, status);
  kernel_names[kernel] = name;
  return kernel;
}

using Extents = const std::size_t*;
using Events = void* const*;
std::int32_t clEnqueueNDRangeKernel(void* queue, void* kernel, std::uint32_t dimensions,
                                    Extents offset, Extents global, Extents local,
                                    std::uint32_t waits, Events wait_for, void** event);
std::int32_t clEnqueueNDRangeKernel(void* queue, void* kernel, std::uint32_t dimensions,
                                    Extents offset, Extents global, Extents local,
                                    std::uint32_t waits, Events wait_for, void** event) {
  static auto* const function = next_function("clEnqueueNDRangeKernel", &clEnqueueNDRangeKernel);
  if (launched == nullptr)
    return function(queue, kernel, dimensions, offset, global, local, waits, wait_for, event);
  launched->push_back(kernel_names.at(kernel));
  return event == nullptr ? 0 : -59;
}
}

namespace dovetail {
namespace {

using namespace testing;
using opencl::InstructionSet;
using ::testing::HasSubstr;
using ::testing::Not;

struct Trained {
  std::vector<float> gradients;
  std::string warnings;
  std::vector<plan::Step> steps;
  std::vector<std::string> names;
  std::vector<plan::Bucket> buckets;
};

struct Way {
  const char* name;
  Model model;
  bool tuned, same_bits;
  std::vector<std::string> kinds;  // of which a line must warn
};

Trained train(const Way& way, const RandomBatch& batch, std::optional<Variant> variant) {
  opencl::Device device(test_device_index());
  plan::Tuner tuner(device);
  ::testing::internal::CaptureStderr();
  Plan plan(device, way.model, statistics_for(way.model),
            {.batch = static_cast<int>(batch.labels.size()),
             .training = true,
             .variant = variant,
             .format = ComputeFormat::tf32,
             .tuner = way.tuned && !variant ? &tuner : nullptr,
             .same_bits = way.same_bits,
             .bucket_bytes = 1 << 10});
  Trained trained{.gradients = {},
                  .warnings = ::testing::internal::GetCapturedStderr(),
                  .steps = plan.steps(),
                  .names = plan.operation_names(),
                  .buckets = plan.buckets()};
  plan.load_parameters(way.model.initial_parameters(1));
  plan.enqueue_gradients(batch.images, batch.labels, 0);
  trained.gradients = plan.gradients(plan.map_reduction().as<float>());
  return trained;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

std::vector<Way> ways() {
  const std::string convolutions = "convolutions", chains = "chains of dense layers",
                    products = "products of dense layers";
  const Model mlp("layers", {1, 12, 12},
                  {layer::Dense{.out = 32}, layer::Relu{}, layer::Dense{.out = 10}});
  return {{"cnn", small_cnn(), false, false, {convolutions, chains, products}},
          {"cnn, tuned", small_cnn(), true, false, {convolutions, chains}},
          {"mlp", mlp, false, false, {chains, products}},
          {"mlp, same bits", mlp, true, true, {chains, products}}};
}

TEST(RefusedKernels, PlansGoOnWithPlainOnesAndWarnOnceAKind) {
  for (const Way& way : ways()) {
    SCOPED_TRACE(way.name);
    const RandomBatch batch = random_batch(way.model, 8, 3);
    const int before = refused;
    const Trained found = train(way, batch, {});
    EXPECT_GT(refused, before);
    for (const std::string& kind : way.kinds)
      EXPECT_EQ(count(found.warnings, kind + " in NVIDIA's instructions are out"), 1u)
          << kind << "\n"
          << found.warnings;
    EXPECT_EQ(count(found.warnings, "in NVIDIA's instructions are out"), way.kinds.size());
    EXPECT_THAT(found.warnings, HasSubstr("the driver refuses these instructions"));
    EXPECT_THAT(found.warnings, HasSubstr(opencl::instructions_variable));
    const Trained plain = train(way, batch, Variant::gpu);
    ASSERT_EQ(found.gradients.size(), plain.gradients.size());
    EXPECT_LT(relative_distance(found.gradients, plain.gradients), 1e-2);
  }
}

/// A pool behind a convolution whose map is too large for the kernels that CPUs fuse it with.
Model large_maps() {
  return Model("large maps", {1, 64, 64},
               {layer::Conv2d{.out = 16, .padding = 1}, layer::Relu{},
                layer::Conv2d{.out = 16, .padding = 1}, layer::Relu{}, layer::MaxPool{},
                layer::Dense{.out = 10}});
}

// The layers are joined as plain kernels join them, then, and not as the tensor cores' do.
TEST(RefusedKernels, LeaveThePlanThatItWouldBeWithoutTheInstructions) {
  for (const Model& model :
       {small_cnn(), pooled_model(), normalised_model(), large_maps(), block_model()}) {
    SCOPED_TRACE(model.name());
    const RandomBatch batch = random_batch(model, 2, 3);
    const Way way{model.name().c_str(), model, false, false, {}};
    const Trained found = train(way, batch, {});
    EXPECT_THAT(found.warnings, HasSubstr("convolutions in NVIDIA's instructions are out"));
    opencl::Device device(test_device_index());
    const auto expected = Plan::reduction_size(
        device, model,
        {.batch = 2, .training = true, .format = ComputeFormat::tf32, .bucket_bytes = 1 << 10});
    ASSERT_EQ(found.buckets.size(), expected.buckets.size()) << "as other ranks cut them";
    for (std::size_t i = 0; i < found.buckets.size(); ++i) {
      EXPECT_EQ(found.buckets[i].begin, expected.buckets[i].begin);
      EXPECT_EQ(found.buckets[i].end, expected.buckets[i].end);
    }
    const ScopedVariable none(opencl::instructions_variable, "none");
    const Trained without = train(way, batch, {});
    EXPECT_EQ(found.names, without.names);
    EXPECT_EQ(found.names.size(), found.steps.size());
    ASSERT_EQ(found.steps.size(), without.steps.size());
    for (std::size_t i = 0; i < found.steps.size(); ++i) {
      EXPECT_EQ(found.steps[i].layer, without.steps[i].layer);
      EXPECT_EQ(found.steps[i].pool, without.steps[i].pool);
      EXPECT_FALSE(found.steps[i].deferred);
    }
    for (std::size_t i = 0; i < found.buckets.size(); ++i)
      EXPECT_EQ(found.buckets[i].after, without.buckets[i].after);
    EXPECT_LT(relative_distance(found.gradients, without.gradients), 1e-2);
  }
}

TEST(RefusedKernels, AreNotTriedAgainForAnotherCapacity) {
  opencl::Device device(test_device_index());
  const Model model = small_cnn();
  ::testing::internal::CaptureStderr();
  Plan plan(device, model, statistics_for(model),
            {.batch = 8, .training = true, .format = ComputeFormat::tf32});
  EXPECT_EQ(count(::testing::internal::GetCapturedStderr(), "are out"), 3u);
  const int before = refused;
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(plan.set_capacity(16), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(refused, before);
}

/// Kernels with assembly build here, as on the GPU that they are for; nobody runs them.
class LackOfMemory : public ::testing::Test {
 protected:
  LackOfMemory() { takes_assembly = true; }
  ~LackOfMemory() override {
    takes_assembly = false;
    buffers_until_failure = 0;
  }
  /// The number-th buffer from now on is not made. Some drivers call it this, some that.
  static void fail_at(int number) {
    constexpr std::array failures{-4, -5, -6, -61};
    failure_of_buffer = failures[static_cast<std::size_t>(number) % failures.size()];
    buffers_until_failure = number;
  }
  static PlanOptions options() {
    return {.batch = 8, .training = true, .format = ComputeFormat::tf32};
  }
  opencl::Device device_{test_device_index()};
  Model model_ = small_cnn();
};

TEST_F(LackOfMemory, ForAnyBufferEndsAPlanAndRefusesNoKernel) {
  ::testing::internal::CaptureStderr();
  int failed = 0;
  for (bool is_made = false; !is_made;) {
    fail_at(failed + 1);
    try {
      const Plan plan(device_, model_, statistics_for(model_), options());
      is_made = buffers_until_failure > 0;
      ASSERT_TRUE(is_made) << "buffer " << failed + 1 << " was missing, and nobody said so";
      EXPECT_LT(plan.chain_begin(), plan.operation_names().size());
      EXPECT_TRUE(plan.steps().front().pool);
    } catch (const opencl::OutOfMemory&) {
      ++failed;
    }
  }
  EXPECT_GT(failed, 20);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), Not(HasSubstr("are out")));
}

TEST_F(LackOfMemory, ForAnyBufferOfAnotherCapacityLeavesThePlanAsItWas) {
  Plan plan(device_, model_, statistics_for(model_), options());
  const std::vector<std::string> names = plan.operation_names();
  const std::size_t chain = plan.chain_begin();
  ASSERT_LT(chain, names.size());
  ::testing::internal::CaptureStderr();
  int failed = 0;
  for (bool is_made = false; !is_made;) {
    fail_at(failed + 1);
    is_made = plan.set_capacity(16).empty();
    ASSERT_TRUE(!is_made || buffers_until_failure > 0)
        << "buffer " << failed + 1 << " was missing, and nobody said so";
    if (!is_made) ++failed;
    EXPECT_EQ(plan.capacity(), is_made ? 16u : 8u);
    EXPECT_EQ(plan.operation_names(), names);
    EXPECT_EQ(plan.chain_begin(), chain);
  }
  EXPECT_GT(failed, 10);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), Not(HasSubstr("are out")));
}

/// Convolutions with a batch norm behind each: the first one is done by the second convolution as
/// it reads, the other with its pool.
Model two_norms(std::vector<Layer> first = {layer::Conv2d{.out = 16, .padding = 1}},
                int channels = 3) {
  std::vector<Layer> layers = std::move(first);
  for (const Layer& each : std::vector<Layer>{
           layer::BatchNorm{}, layer::Relu{}, layer::Conv2d{.out = 32, .padding = 1},
           layer::BatchNorm{}, layer::Relu{}, layer::MaxPool{}, layer::Dense{.out = 4}})
    layers.push_back(each);
  return Model("two norms", {channels, 8, 8}, layers);
}

/// Passes over maps that sum up what batch norms need, foldings of such sums, and passes that write
/// their gradients, of a step; sums of an evaluation.
struct NormLaunches {
  std::ptrdiff_t statistics, gradients, folds, written, evaluated;
  bool operator==(const NormLaunches&) const = default;
};

NormLaunches norm_launches(const PlanOptions& options, const Model& model = two_norms()) {
  takes_assembly = true;
  opencl::Device device(test_device_index());
  const RandomBatch batch = random_batch(model, 8, 3);
  Plan plan(device, model, statistics_for(model), options);
  plan.load_parameters(model.initial_parameters(1));
  std::vector<std::string> step, evaluation;
  launched = &step;
  const std::vector<std::size_t> sizes(static_cast<std::size_t>(options.passes),
                                       static_cast<std::size_t>(options.batch));
  plan.enqueue_step({.images = batch.images, .labels = batch.labels}, sizes, false);
  device.finish();
  launched = &evaluation;
  plan.infer(batch.images, batch.labels.size());
  launched = nullptr;
  takes_assembly = false;
  const auto count = [](const std::vector<std::string>& names,
                        std::initializer_list<const char*> wanted) {
    return std::ranges::count_if(names, [&](const std::string& name) {
      return std::ranges::find(wanted, name) != wanted.end();
    });
  };
  const auto folds = {"batch_statistics", "batch_gradients"};
  return {count(step, {"slice_statistics"}),
          count(step, {"slice_gradients", "slice_pool_gradients"}), count(step, folds),
          count(step, {"input_gradient", "input_pool_gradient"}),
          count(evaluation, {"slice_statistics"}) + count(evaluation, folds)};
}

TEST(KernelsWithAssembly, SumUpForTheNormsBehindAndInFrontOfThem) {
  PlanOptions options{.batch = 8, .training = true, .format = ComputeFormat::tf32};
  EXPECT_EQ(norm_launches(options), (NormLaunches{0, 1, 4, 1, 0}))
      << "a pool's gradient is in between";
  options.same_bits = true;
  EXPECT_EQ(norm_launches(options), (NormLaunches{2, 2, 4, 2, 0}))
      << "how tiles are cut changes bits";
  options = {.batch = 4, .passes = 2, .training = true, .format = ComputeFormat::tf32};
  EXPECT_EQ(norm_launches(options), (NormLaunches{2, 2, 4, 2, 0})) << "tiles lie in two passes";
}

// Where it is not the first convolution's alone, who stands in front of a batch norm finds its
// gradient in memory.
TEST(KernelsWithAssembly, MakeTheGradientOfTheFirstNormAsTheyReadIt) {
  const PlanOptions options{.batch = 8, .training = true, .format = ComputeFormat::tf32};
  const layer::Conv2d first{.out = 16, .padding = 1};
  EXPECT_EQ(norm_launches(options).written, 1);
  EXPECT_EQ(norm_launches(options, two_norms({first, layer::Relu{}})).written, 2) << "masks it";
  EXPECT_EQ(norm_launches(options, two_norms({first, layer::Relu{}, layer::MaxPool{}})).written, 2);
  EXPECT_EQ(norm_launches(options, two_norms({first, layer::MaxPool{}})).written, 2);
  EXPECT_EQ(norm_launches(options, two_norms({first}, 16)).written, 2) << "many channels";
  EXPECT_EQ(norm_launches(options, two_norms({first, layer::Relu{}, first})).written, 2)
      << "two products need it";
}

TEST(RefusedKernels, AreNotTriedWhereTheInstructionsAreLeftOut) {
  const ScopedVariable none(opencl::instructions_variable, "none");
  for (const Way& way : ways()) {
    SCOPED_TRACE(way.name);
    const RandomBatch batch = random_batch(way.model, 8, 3);
    const int before = refused;
    EXPECT_EQ(train(way, batch, {}).warnings, "");
    EXPECT_EQ(refused, before);
  }
}

TEST(RefusedKernels, ADeviceTakesWhatIsAllowed) {
  const auto takes = [] {
    const opencl::Device device(test_device_index());
    return std::array{device.takes(InstructionSet::async_copy), device.takes(InstructionSet::mma),
                      device.takes(InstructionSet::wgmma)};
  };
  EXPECT_EQ(takes(), (std::array{true, true, true}));
  const auto allowing = [&](const char* words) {
    const ScopedVariable allowed(opencl::instructions_variable, words);
    return takes();
  };
  EXPECT_EQ(allowing("none"), (std::array{false, false, false}));
  EXPECT_EQ(allowing("async_copy"), (std::array{true, false, false}));
  EXPECT_EQ(allowing("mma,async_copy"), (std::array{true, true, false}));
  EXPECT_EQ(allowing("wgmma"), (std::array{false, false, true}));
}

}  // namespace
}  // namespace dovetail
