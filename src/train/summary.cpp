// Builds and prints the summary of a run.
#include "train/summary.hpp"

#include <algorithm>

#include "support/text.hpp"

namespace dovetail {
namespace {

Json fpga_summary(const TrainSettings& settings, const TrainResult& result,
                  const std::string& backend) {
  Json evaluations = Json::array();
  for (const quant::Evaluation& evaluation : result.evaluations) {
    evaluations.push_back({{"version", evaluation.version},
                           {"accuracy", evaluation.accuracy()},
                           {"loss", evaluation.loss()},
                           {"samples", evaluation.samples},
                           {"seconds", evaluation.seconds}});
  }
  Json accuracy = nullptr;
  if (!result.evaluations.empty()) accuracy = result.evaluations.back().accuracy();
  return {{"format", settings.fpga_format},
          {"accuracy", accuracy},
          {"evaluations", evaluations},
          {"boosted_steps", 0},
          {"boosted_samples", 0},
          {"selected_samples", 0},
          {"late", 0},
          {"backend", backend}};
}

/// "compute 62 %, reduce 20 %, …", largest first, leaving out what is below half a percent.
std::string shares_text(const Json& seconds) {
  std::vector<std::pair<double, std::string>> phases;
  double total = 0;
  for (const auto& [name, value] : seconds.items()) {
    phases.emplace_back(value.get<double>(), name);
    total += value.get<double>();
  }
  std::sort(phases.rbegin(), phases.rend());
  std::vector<std::string> parts;
  for (const auto& [value, name] : phases) {
    if (value >= 0.005 * total)
      parts.push_back(fmt::format("{} {:.0f} %", name, 100 * value / total));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string ranks_text(const Json& ranks) {
  std::string text;
  for (const Json& rank : ranks) {
    text += fmt::format(
        "    rank {:<3} {:<5} {} on {}: {} samples, {} of memory\n             {}\n",
        rank["rank"].get<int>(), rank["role"].get<std::string>(), rank["device"].get<std::string>(),
        rank["host"].get<std::string>(), rank["samples"].get<std::uint64_t>(),
        format_bytes(rank["peak_memory_bytes"].get<double>()), shares_text(rank["seconds"]));
  }
  return text;
}

std::string fpga_text(const Json& fpga, double float_accuracy) {
  if (fpga["accuracy"].is_null()) return "";
  const double accuracy = fpga["accuracy"].get<double>();
  std::string history;
  for (const Json& evaluation : fpga["evaluations"]) {
    history += fmt::format(" {:.2f}", 100 * evaluation["accuracy"].get<double>());
  }
  const bool emulated = fpga["backend"] == "emulated";
  return fmt::format("  test accuracy  {:6.2f} %  {} on the FPGA ranks{} ({:+.2f} points)\n",
                     100 * accuracy, fpga["format"].get<std::string>(),
                     emulated ? " (emulated card)" : "", 100 * (accuracy - float_accuracy)) +
         fmt::format("                 each epoch, scored while training went on:{} %\n", history);
}

}  // namespace

Json make_summary(const TrainSettings& settings, const TrainResult& result,
                  const RankReports& ranks, const std::string& backend, double wall_s) {
  Json rate = nullptr;  // nothing was left to train
  if (result.training_s > 0) rate = static_cast<double>(result.trained_samples) / result.training_s;
  return {{"model", settings.model},
          {"test_accuracy", result.test_accuracy},
          {"test_cross_entropy", result.test_cross_entropy},
          {"train_loss", result.train_loss},
          {"epochs", result.epochs},
          {"steps", result.steps},
          {"batch", settings.batch},
          {"seed", settings.seed},
          {"samples_per_second", rate},
          {"training_seconds", result.training_s},
          {"wall_seconds", wall_s},
          {"weights_sha256", result.weights_sha256},
          {"ranks", ranks},
          {"fpga", fpga_summary(settings, result, backend)}};
}

std::string summary_text(const Json& summary, const std::filesystem::path& out) {
  const double accuracy = summary["test_accuracy"].get<double>();
  std::string text = fmt::format("\n  {} trained for {}, {} of {}, in {:.1f} s\n\n",
                                 summary["model"].get<std::string>(),
                                 counted(summary["epochs"].get<std::uint64_t>(), "epoch"),
                                 counted(summary["steps"].get<std::uint64_t>(), "step"),
                                 counted(summary["batch"].get<std::uint64_t>(), "sample"),
                                 summary["wall_seconds"].get<double>());
  text += fmt::format("  test accuracy  {:6.2f} %  float32 on the GPU ranks\n", 100 * accuracy);
  text += fpga_text(summary["fpga"], accuracy);
  if (!summary["samples_per_second"].is_null()) {
    text += fmt::format("  training       {:6.0f}    samples a second, all GPU ranks together\n",
                        summary["samples_per_second"].get<double>());
  }
  text += "\n";
  text += "  what ran where, and where its time went\n" + ranks_text(summary["ranks"]);
  text += fmt::format(
      "\n  files\n    {}  the weights\n    {}  what happened, a JSON object a line\n    {}  this "
      "page\n",
      (out / "checkpoint.h5").string(), (out / "run.jsonl").string(),
      (out / "summary.json").string());
  return text;
}

}  // namespace dovetail
