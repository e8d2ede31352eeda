// Whatever is wrong with devices and ranks: one line that names them, and the end of the whole job
// within seconds.
#include "app/refusal.hpp"
#include "support/json.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::testing {
namespace {

using BadDevice = Refusal;

TEST_F(BadDevice, NoOpenClPlatform) {
  refused(dovetail_job(3, train()).with("OCL_ICD_VENDORS", "/nonexistent"), failure,
          {"no OpenCL platform", "pocl-opencl-icd"});
}

/// The FPGA side. Cards that fail at work: card_failure_test.
class BadCard : public BadDevice {
 protected:
  void SetUp() override {
    if (real_folder().empty()) GTEST_SKIP() << "this build has no emulated card";
    Refusal::SetUp();
  }

  /// A folder like the emulated card's, with another file as the w8 xclbin.
  fs::path card_folder_with(const std::optional<fs::path>& xclbin) const {
    const fs::path folder = run() / "card";
    fs::create_directories(folder / "xclbin");
    fs::create_directory_symlink(real_folder() / "lib", folder / "lib");
    if (xclbin) fs::copy_file(*xclbin, folder / "xclbin" / "w8.emulated.xclbin");
    return folder;
  }
  static fs::path real_folder() { return DOVETAIL_EMULATED_CARD_FOLDER; }
};

/// No card has failed: the line names what was contributed and says what to change about that.
TEST_F(BadCard, ABoostThatDivergesEndsTheJobAndIsNamed) {
  const auto boosted = [&](const char* staleness) {
    return train({"--lr", "1e25", "--boost", "1/2", "--boost-format", "int6", "--boost-wait",
                  "--boost-staleness", staleness});
  };
  expect_one_line(dovetail_job(3, boosted("0")).run(patiently_s), failure,
                  {"rank 2", "the training has diverged", "contribute to step 2 in int6",
                   "by weights 0 steps old", "Lower --boost or --lr, or give a --boost-format"});
  expect_one_line(dovetail_job(3, boosted("5")).run(patiently_s), failure,
                  {"is not a finite number at step 2, after FPGA ranks contributed gradients to 2 "
                   "steps (in int6, weight 1, by weights up to 1 step old",
                   "met first on all GPU ranks", "Give --boost-staleness 0, or lower --boost"});
}

TEST_F(BadCard, WeightsThatNoFormatHoldsEndTheJob) {
  const Words one_step{"--lr", "1e25", "--batch", "120", "--epochs", "1"};
  expect_one_line(dovetail_job(3, train(one_step)).run(patiently_s), failure,
                  {"the weights of step 1 cannot be published in int8", "range", "Lower --lr"});
}

TEST_F(BadCard, CardsThatAreNotThere) {
  refused(3, train({"--fpga-backend", "card"}), failure, {"0 cards", "--fpga-backend emulated"});
  refused(dovetail_job(3, train({"--fpga-ranks", "2"})).with("XILINX_XRT", real_folder()), failure,
          {"2 FPGA ranks", "1 card", "Ask for fewer"});
  refused(dovetail_job(3, train()).with("DOVETAIL_CARD_FOLDER", "/nonexistent"), failure,
          {"rank 2", "/nonexistent", "DOVETAIL_CARD_FOLDER"});
}

TEST_F(BadCard, MissingXclbin) {
  const fs::path folder = card_folder_with(std::nullopt);
  refused(dovetail_job(3, train()).with("DOVETAIL_CARD_FOLDER", folder), failure,
          {"rank 2", folder / "xclbin" / "w8.emulated.xclbin", "Build the project"});
}

/// Known before training, though it is needed much later: no card has failed.
TEST_F(BadCard, MissingXclbinOfAnotherFamily) {
  const fs::path folder = card_folder_with(real_folder() / "xclbin" / "w8.emulated.xclbin");
  for (const auto& [options, family] :
       {std::pair{Words{"--fpga-format", "int8,fixed8"}, "training_int8"},
        {Words{"--fpga-format", "int8,w1a1"}, "w1"},
        {Words{"--boost-select", "1/2", "--select-format", "int4"}, "w4"},
        {Words{"--boost", "1/2", "--boost-format", "bfp8"}, "training_bfp"}}) {
    SCOPED_TRACE(family);
    const fs::path missing = folder / "xclbin" / (std::string(family) + ".emulated.xclbin");
    refused(dovetail_job(3, train(options)).with("DOVETAIL_CARD_FOLDER", folder), failure,
            {"rank 2", missing, "Build the project"});
  }
}

TEST_F(BadCard, TruncatedXclbin) {
  const fs::path cut = run() / "cut.xclbin";
  fs::copy_file(real_folder() / "xclbin" / "w8.emulated.xclbin", cut);
  fs::resize_file(cut, fs::file_size(cut) / 2);
  const fs::path folder = card_folder_with(cut);
  refused(dovetail_job(3, train()).with("DOVETAIL_CARD_FOLDER", folder), failure,
          {"rank 2", folder / "xclbin" / "w8.emulated.xclbin", "damaged", "Build the project"});
}

TEST_F(BadCard, XclbinForOtherKernels) {
  const fs::path folder =
      card_folder_with(real_folder() / "xclbin" / "card_fixture.emulated.xclbin");
  refused(dovetail_job(3, train()).with("DOVETAIL_CARD_FOLDER", folder), failure,
          {"rank 2", "built for other kernels", "xclbin of the right kernel family"});
}

TEST_F(BadDevice, ARankThatIsKilledEndsTheOthers) {
  // Rank 1 is killed as soon as an epoch is done; mpirun alone can say so.
  const std::string script = fmt::format(
      "if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then (for i in $(seq 300); do "
      "grep -qs '\"epoch\",' '{}' && kill -KILL $$ && exit; sleep 0.1; done) & fi; exec \"$@\"",
      (run() / "run.jsonl").string());
  const Outcome outcome =
      dovetail_job(3, train({"--epochs", "100000"}), {"sh", "-c", script, "sh"}).run(patiently_s);
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_LT(outcome.seconds, promptly_s);
  EXPECT_FALSE(outcome.timed_out || outcome.left_behind) << outcome.text();
  EXPECT_THAT(outcome.err, HasSubstr("signal 9")) << outcome.text();
  EXPECT_THAT(outcome.out, HasSubstr("epoch 1/100000")) << outcome.text();
  EXPECT_NO_THROW(load_checkpoint(checkpoint()));
}

}  // namespace
}  // namespace dovetail::testing
