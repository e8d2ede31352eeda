// What an xclbin brings is what runs, also while an earlier library cannot be unloaded.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "card/image.hpp"
#include "card/refusal.hpp"
#include "support/file.hpp"

namespace dovetail::card {
namespace {

std::vector<char> elf(const std::string& path) {
  const std::vector<unsigned char> bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

/// Keeps the library that holds `address` loaded: a thread that has not run its destructors yet, or
/// a kernel that hangs, does the same.
class Hold {
 public:
  explicit Hold(const void* address) {
    Dl_info info{};
    if (::dladdr(address, &info) != 0)
      library_ = ::dlopen(info.dli_fname, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  }
  ~Hold() {
    if (library_ != nullptr) ::dlclose(library_);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  bool holds() const { return library_ != nullptr; }

 private:
  void* library_ = nullptr;
};

TEST(KernelLibrary, IsNotMistakenForOneThatIsStillLoaded) {
  const std::vector<char> fixture = elf(FIXTURE_KERNELS), engine = elf(ENGINE_KERNELS);
  const auto first = std::make_unique<KernelLibrary>(fixture.data(), fixture.size());
  ASSERT_NE(first->kernel("vadd"), nullptr);
  ASSERT_EQ(first->kernel("quantise_input"), nullptr);
  auto gone = std::make_unique<KernelLibrary>(engine.data(), engine.size());
  const KernelEntry* const stays = gone->kernel("quantise_input");
  ASSERT_NE(stays, nullptr);
  const Hold hold(stays);
  ASSERT_TRUE(hold.holds());
  gone.reset();
  // It gets the number of the file that has just been closed.
  const KernelLibrary next(fixture.data(), fixture.size());
  EXPECT_NE(next.kernel("vadd"), nullptr);
  EXPECT_EQ(next.kernel("quantise_input"), nullptr);
  EXPECT_NE(next.kernel("vadd"), first->kernel("vadd")) << "two cards share no memory";
}

TEST(KernelLibrary, ManyLoadsTakeNoMoreFilesThanOne) {
  const std::vector<char> fixture = elf(FIXTURE_KERNELS);
  for (int load = 0; load < 3000; ++load) {  // more than a process may have files open
    const KernelLibrary library(fixture.data(), fixture.size());
    ASSERT_NE(library.kernel("vadd"), nullptr) << "load " << load;
  }
}

TEST(KernelLibrary, RefusesWhatIsNoLibrary) {
  const std::vector<char> noise(4096, 'x');
  EXPECT_THROW(KernelLibrary(noise.data(), noise.size()), Refusal);
}

}  // namespace
}  // namespace dovetail::card
