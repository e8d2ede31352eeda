// Checkpoints, as they are and with a seal that holds.
#include "fuzz/target.hpp"
#include "model/zoo.hpp"
#include "shards/seal.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::fuzz {

std::vector<Bytes> seeds() {
  const Model model = make_model("mlp", {1, 1, 1}, 2);
  Checkpoint checkpoint;
  checkpoint.model = "mlp";
  checkpoint.input = {1, 1, 1};
  checkpoint.classes = 2;
  checkpoint.input_statistics = {{0.25f}, {0.5f}};
  checkpoint.parameters = model.initial_parameters(1);
  checkpoint.epoch = 2;
  checkpoint.step = 123;
  checkpoint.steps_per_epoch = 50;
  checkpoint.batch = 64;
  checkpoint.test_accuracy = 0.5;
  checkpoint.calibration = {1, 2, 3, 4, 5, 6};
  checkpoint.train_set_sha256 = "abc";
  checkpoint.loss_scale.emplace(1024.0f, 7);
  save_checkpoint(folder() / "seed.h5", checkpoint);
  return {read_file(folder() / "seed.h5")};
}

void read(std::span<const std::uint8_t> input) {
  const std::filesystem::path path = write("checkpoint.h5", input);
  if (input.size() > hdf5::user_block_bytes) hdf5::seal(path);
  read_checkpoint(path);
}

}  // namespace dovetail::fuzz
