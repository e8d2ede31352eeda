// `dovetail verify`: proves that twin, OpenCL kernels and FPGA kernels compute the same bits in
// every format.
#include <algorithm>

#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/expect.hpp"
#include "app/result.hpp"
#include "quant/training_format.hpp"
#include "quant/weight_pack.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"
#include "verify/proof.hpp"
#include "verify/report.hpp"

namespace dovetail::app {
namespace {

struct VerifyOptions {
  std::string json, data, formats = "all";
  std::uint64_t outputs = 1'000'000, seed = 1;
  std::optional<int> device, card;
  double card_timeout_s = 120;
  bool layers = false;
};

/// The sides of this host, and their names.
struct Host {
  std::unique_ptr<opencl::Device> device;
  std::unique_ptr<fpga::CardSlot> card;
  verify::Where where;
};

std::string described(const DeviceInfo& info) {
  return fmt::format("{} {}: {} ({}, {})", to_string(info.kind), info.index, info.name,
                     info.platform, info.driver);
}

/// The device with this index, or the first usable one. Throws UsageError where one was asked for
/// that is not usable.
std::optional<DeviceInfo> choose(const std::vector<DeviceInfo>& devices, std::optional<int> wanted,
                                 const char* option) {
  const auto found = std::find_if(devices.begin(), devices.end(), [&](const DeviceInfo& info) {
    return wanted ? info.index == *wanted : info.unusable.empty();
  });
  if (found != devices.end() && found->unusable.empty()) return *found;
  if (!wanted) return std::nullopt;
  throw UsageError(fmt::format("--{} {} is no usable device", option, *wanted),
                   "`dovetail devices` lists them");
}

/// Opens a card, or says why there is none.
void open_card(const VerifyOptions& options, Host& host) {
  const bool emulated = !fpga::host_has_card() && fpga::built_with_emulated_card();
  if (emulated) {
    try {
      fpga::use_emulated_cards(1);
    } catch (const Error& failure) {
      host.where.no_card = failure.what();
      return;
    }
  }
  const auto card = choose(fpga::list_cards(), options.card, "card");
  if (!card) return;
  host.card =
      std::make_unique<fpga::CardSlot>(emulated ? fpga::Backend::emulated : fpga::Backend::card,
                                       card->index, options.card_timeout_s);
  host.where.card = described(*card);
}

/// Cards come first, as in devices.cpp: XRT may have an OpenCL platform of its own.
Host open_host(const VerifyOptions& options) {
  Host host;
  open_card(options, host);
  if (const auto device = choose(opencl::list_devices(), options.device, "device")) {
    host.device = std::make_unique<opencl::Device>(device->index);
    host.where.opencl = described(*device);
  }
  return host;
}

/// Sorts the wanted formats into those of inference and of training.
verify::ProofOptions proof_of(const VerifyOptions& options) {
  verify::ProofOptions proof;
  proof.outputs = options.outputs;
  proof.seed = options.seed;
  if (!options.data.empty()) proof.data = options.data;
  expect_timeout("card-timeout", options.card_timeout_s);
  if (options.outputs < 1) throw UsageError("--outputs must be at least 1", "Try 1000000");
  if (options.formats == "all" || options.formats == "inference")
    proof.inference_formats = verify::inference_formats();
  if (options.formats == "all" || options.formats == "training")
    proof.training_formats = verify::training_formats();
  if (!proof.inference_formats.empty() || !proof.training_formats.empty()) return proof;
  std::size_t begin = 0;
  while (begin <= options.formats.size()) {
    const std::size_t end = std::min(options.formats.find(',', begin), options.formats.size());
    const std::string name = options.formats.substr(begin, end - begin);
    begin = end + 1;
    if (name.starts_with('w') && quant::is_inference_format(name)) {
      proof.inference_formats.push_back(name);
    } else if (quant::find_training_format(name)) {
      proof.training_formats.push_back(name);
    } else {
      throw UsageError(fmt::format("there are no kernels to verify for the format '{}'", name),
                       "Known: wXaY with X = 1, t, 2, 4, 8 and Y = 1, 2, 4, 8 (int8's inference is "
                       "w8a8); int2 to int16, fixed2 to fixed16 and bfp2 to bfp8");
    }
  }
  return proof;
}

void verify_host(const VerifyOptions& options) {
  const Stopwatch watch;
  const verify::ProofOptions proof = proof_of(options);
  const Host host = open_host(options);
  if (!host.card && !proof.training_formats.empty() && options.formats != "all") {
    throw Error("training formats are computed by FPGA kernels alone: " + host.where.no_card,
                "Leave them out with --formats inference");
  }
  const std::vector<verify::Row> rows =
      verify::prove(proof, {.device = host.device.get(), .card = host.card.get()});
  const std::string difference = verify::difference_text(rows, host.where);
  std::uint64_t outputs = 0;
  for (const verify::Row& row : rows) outputs += row.outputs;
  std::string text = verify::report_text(rows, host.where, options.layers);
  text += fmt::format("\n\n{} outputs in {:.1f} s: ", outputs, watch.seconds());
  text += difference.empty() ? "every one is the same on all sides compared" : "they differ";
  Json json = verify::report_json(rows, host.where);
  json["outputs_wanted"] = options.outputs;
  json["seed"] = options.seed;
  json["seconds"] = watch.seconds();
  write_result(options.json, text, json);
  if (!difference.empty()) {
    throw Error(difference, fmt::format("Repeat it with --seed {}; that side, its compiler or its "
                                        "driver computes wrongly",
                                        options.seed));
  }
}

}  // namespace

int run_verify(const Arguments& arguments) {
  VerifyOptions options;
  CommandLine line(
      "usage: dovetail verify [--json FILE] [--data DIR] [options]",
      "Proves bit for bit that twin, OpenCL and FPGA kernels agree; docs/verify.md says how.");
  line.add("json", options.json, "write layers and hashes as JSON; `-` is standard output");
  line.add("data", options.data, "a data set: its test images too, not only random ones");
  line.add("formats", options.formats,
           "all, inference, training, or a list such as w1a1,wta2,int8,bfp5: wXaY is inference, "
           "intK, fixedK and bfpK training");
  line.add("outputs", options.outputs, "at least, of every format and kernel");
  line.add("seed", options.seed, "of weights and random images");
  line.add("device", options.device, "OpenCL device; by default the first usable one");
  line.add("card", options.card, "FPGA card; by default the first usable one, or an emulated one");
  line.add("card-timeout", options.card_timeout_s, "seconds that a kernel may take");
  line.add_flag("layers", options.layers, "a line a layer instead of a line a kernel");
  if (!line.parse(arguments)) return 0;
  if (options.json == "-") log::keep_output_for_document();
  verify_host(options);
  return 0;
}

}  // namespace dovetail::app
