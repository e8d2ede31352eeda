// A driver that takes the probes' instructions and refuses the kernels made of them: plans go on
// with plain kernels.
//
// Functions of OpenCL are defined here and go on to the real ones: they call the device an NVIDIA
// GPU, put a plain kernel in each probe's place, and an #error into every other source with inline
// assembly. Handles are pointers, so that no header of OpenCL is needed.
#include <dlfcn.h>
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>

#include "model/zoo.hpp"
#include "plan/fixture.hpp"
#include "plan/tuner.hpp"

namespace {

int refused = 0;

template <typename Function>
Function* real(const char* name, Function*) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
std::int32_t clGetDeviceInfo(void* device, std::uint32_t key, std::size_t bytes, void* value,
                             std::size_t* length);
std::int32_t clGetDeviceInfo(void* device, std::uint32_t key, std::size_t bytes, void* value,
                             std::size_t* length) {
  constexpr std::uint32_t type = 0x1000;
  constexpr std::uint64_t gpu = 1 << 2;
  static auto* const function = real("clGetDeviceInfo", &clGetDeviceInfo);
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
  static auto* const function = real("clGetPlatformInfo", &clGetPlatformInfo);
  const std::int32_t status = function(platform, key, bytes, value, length);
  if (key == name && value != nullptr && bytes >= sizeof pretended)
    std::memcpy(value, pretended, sizeof pretended);
  return status;
}

void* clCreateProgramWithSource(void* context, std::uint32_t count, const char** texts,
                                const std::size_t* lengths, std::int32_t* status);
void* clCreateProgramWithSource(void* context, std::uint32_t count, const char** texts,
                                const std::size_t* lengths, std::int32_t* status) {
  static auto* const function = real("clCreateProgramWithSource", &clCreateProgramWithSource);
  const std::string text(texts[0], lengths[0]);
  const auto has = [&](const char* words) { return text.find(words) != std::string::npos; };
  if (!has("asm")) return function(context, count, texts, lengths, status);
  std::string instead = "#error the driver refuses these instructions\n";
  if (has("void probe(")) {
    instead =
        "__kernel void probe(__global const float* source, __global float* result) {\n"
        "  result[get_local_id(0)] = " +
        std::string(has("mma") ? "32" : "4") + ";\n}\n";
  } else {
    ++refused;
  }
  const char* only = instead.c_str();
  const std::size_t length = instead.size();
  return function(context, 1, &only, &length, status);
}
}

namespace dovetail {
namespace {

using namespace testing;
using opencl::InstructionSet;
using ::testing::HasSubstr;
using ::testing::Not;

class ScopedInstructions {
 public:
  explicit ScopedInstructions(const char* words) {
    setenv(opencl::instructions_variable, words, 1);
  }
  ~ScopedInstructions() { unsetenv(opencl::instructions_variable); }
  ScopedInstructions(const ScopedInstructions&) = delete;
  ScopedInstructions& operator=(const ScopedInstructions&) = delete;
};

struct Trained {
  std::vector<float> gradients;
  std::string warnings;
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
             .same_bits = way.same_bits});
  Trained trained{.gradients = {}, .warnings = ::testing::internal::GetCapturedStderr()};
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

TEST(RefusedKernels, AreNotTriedWhereTheInstructionsAreLeftOut) {
  const ScopedInstructions none("none");
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
    const ScopedInstructions allowed(words);
    return takes();
  };
  EXPECT_EQ(allowing("none"), (std::array{false, false, false}));
  EXPECT_EQ(allowing("async_copy"), (std::array{true, false, false}));
  EXPECT_EQ(allowing("mma,async_copy"), (std::array{true, true, false}));
  EXPECT_EQ(allowing("wgmma"), (std::array{false, false, true}));
}

}  // namespace
}  // namespace dovetail
