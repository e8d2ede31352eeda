// The --config files of `dovetail train`.
#include "app/train_options.hpp"
#include "fuzz/target.hpp"

namespace dovetail::fuzz {

std::vector<Bytes> seeds() {
  std::vector<Bytes> files;
  for (const std::string_view text :
       {"data = folder\nmodel = cnn\nout = runs/a\nbatch = 128\nepochs = 3\nlr = 0.1\n"
        "gpu-ranks = 2\nfpga-ranks = 1\nfpga-format = int8,int4\nresume = true\n",
        "# a comment\ndata=d\nmodel=sfc\nout=o\nqat=w1a1\noptimizer=adam\n"
        "boost-select=1/3\nseed=18446744073709551615\n",
        "data=d\nmodel=cnn\nout=o\nboost=1/4\nboost-format=int8\nboost-weight=auto\n"
        "boost-staleness=4\n",
        "data=d\nout=o\nmodel=mlp\nsteps=100\nformat=bf16\ncheckpoint-steps=5\ncheckpoint-minutes="
        "0.5\n"
        "stall-timeout=30\nrequeue=1\nloss=mse\nlr-schedule=constant\ntimeline=trace.json."
        "gz\ntimeline-steps=20:40\n"}) {
    files.emplace_back(text.begin(), text.end());
  }
  return files;
}

void read(std::span<const std::uint8_t> input) {
  const std::string file = write("config.ini", input).string();
  app::TrainOptions options;
  static_cast<void>(app::parse({"--config", file}, options));
}

}  // namespace dovetail::fuzz
