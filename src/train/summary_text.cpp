// Prints the summary of a run.
#include <algorithm>
#include <sstream>

#include "support/table.hpp"
#include "support/text.hpp"
#include "train/summary.hpp"

namespace dovetail {
namespace {

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

std::string communication_text(const Json& communication) {
  const double total = communication["seconds"].get<double>();
  const double exposed = communication["exposed_seconds"].get<double>();
  if (total == 0) return "";
  return fmt::format(
      "             sums over the ranks took {:.1f} s, {:.0f} % of it hidden behind the backward "
      "pass\n",
      total, 100 * (1 - exposed / total));
}

std::string ranks_text(const Json& ranks) {
  std::string text;
  for (const Json& rank : ranks) {
    text += fmt::format(
        "    rank {:<3} {:<5} {} on {}: {} samples, {} of memory\n             {}\n",
        rank["rank"].get<int>(), rank["role"].get<std::string>(), rank["device"].get<std::string>(),
        rank["host"].get<std::string>(), rank["samples"].get<std::uint64_t>(),
        format_bytes(rank["peak_memory_bytes"].get<double>()), shares_text(rank["seconds"]));
    if (ranks.size() > 1 && rank.contains("communication"))
      text += communication_text(rank["communication"]);
  }
  return text;
}

std::string points_text(double accuracy, double float_accuracy) {
  return fmt::format("{:+.2f} points", 100 * (accuracy - float_accuracy));
}

std::string history_text(const Json& format) {
  std::string text;
  for (const Json& evaluation : format["evaluations"])
    text += fmt::format(" {:.2f}", 100 * evaluation["accuracy"].get<double>());
  return text;
}

/// One format in two lines.
std::string one_format_text(const Json& fpga, double float_accuracy) {
  const Json& format = fpga["formats"].front();
  if (format["accuracy"].is_null()) return "";
  const double accuracy = format["accuracy"].get<double>();
  return fmt::format("  test accuracy  {:6.2f} %  {} on the FPGA ranks{} ({})\n", 100 * accuracy,
                     format["format"].get<std::string>(),
                     fpga["backend"] == "emulated" ? " (emulated card)" : "",
                     points_text(accuracy, float_accuracy)) +
         fmt::format("                 each epoch, scored while training went on:{} %\n",
                     history_text(format));
}

/// Several formats in a table.
std::string formats_text(const Json& fpga, double float_accuracy) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& format : fpga["formats"]) {
    if (format["accuracy"].is_null()) continue;
    const double accuracy = format["accuracy"].get<double>();
    rows.push_back({format["format"].get<std::string>(), fmt::format("{:.2f} %", 100 * accuracy),
                    points_text(accuracy, float_accuracy),
                    format_bytes(format["bytes"].get<double>()),
                    history_text(format).substr(1) + " %"});
  }
  if (rows.empty()) return "";
  std::string text = fmt::format("\n  on the FPGA ranks{}, scored while training went on\n",
                                 fpga["backend"] == "emulated" ? " (emulated card)" : "");
  std::istringstream table(
      format_table({"format", "test accuracy", "to float32", "weight pack", "each epoch"}, rows));
  for (std::string line; std::getline(table, line);) text += "    " + line + "\n";
  const double points = fpga["within_points"].get<double>();
  text += fpga["smallest_within"].is_null()
              ? fmt::format("    no format within {} points\n", points)
              : fmt::format("    smallest format within {} points: {}\n", points,
                            fpga["smallest_within"].get<std::string>());
  return text;
}

std::string staleness_text(const Json& staleness) {
  return fmt::format("weights {:.1f} steps old on average, {} at most",
                     staleness["mean"].get<double>(), staleness["max"].get<std::uint64_t>());
}

std::string boost_text(const Json& boost) {
  std::string text;
  if (boost.contains("select")) {
    const Json& select = boost["select"];
    const auto steps = select["steps"].get<std::uint64_t>();
    const auto late = select["late"].get<std::uint64_t>();
    text += fmt::format("  selection      {} of {} steps by {}", steps, steps + late,
                        select["kind"].get<std::string>());
    text += select["format"].is_null()
                ? std::string(", which needs no scores\n")
                : fmt::format(" ({}), {} late; {}\n", select["format"].get<std::string>(), late,
                              staleness_text(select["staleness"]));
  }
  if (boost.contains("gradients")) {
    const Json& gradients = boost["gradients"];
    text += fmt::format(
        "  contributed    {} of {} samples in {} steps ({}), {} contributions late; {}\n",
        gradients["samples"].get<std::uint64_t>(),
        gradients["samples"].get<std::uint64_t>() + gradients["missing"].get<std::uint64_t>(),
        gradients["steps"].get<std::uint64_t>(), gradients["format"].get<std::string>(),
        gradients["late"].get<std::uint64_t>(), staleness_text(gradients["staleness"]));
    if (!gradients["cosine"].is_null()) {
      text += fmt::format(
          "                 cosine {:.3f} and norm ratio {:.3f} to float32; counts with weight "
          "{:.2f}\n",
          gradients["cosine"].get<double>(), gradients["norm_ratio"].get<double>(),
          gradients["weight"].get<double>());
    }
  }
  return text;
}

/// Nothing where equal ranks have equal shares.
std::string balance_text(const Json& summary) {
  const Json& balance = summary["balance"];
  const double longer = 100 * balance["imbalance"].get<double>();
  const std::string slowest =
      fmt::format("the slowest rank computed {:.0f} % longer than the mean", longer);
  if (balance["mode"] != "equal" && balance["shares"].size() > 1) {
    constexpr std::size_t most_named = 16;
    const auto shares = balance["shares"].get<std::vector<std::size_t>>();
    const auto [least, most] = std::ranges::minmax(shares);
    return fmt::format("  shares         {} of {} samples ({}); {}\n",
                       shares.size() <= most_named ? fmt::format("{}", fmt::join(shares, ":"))
                                                   : fmt::format("{} to {}", least, most),
                       summary["batch"].get<std::uint64_t>(), balance["mode"].get<std::string>(),
                       slowest);
  }
  constexpr double worth_saying = 25;  // %
  if (longer < worth_saying || balance["shares"].is_null()) return "";
  return fmt::format("  shares         equal, but {}: see --balance\n", slowest);
}

std::string interrupted_text(const Json& summary, const std::filesystem::path& out) {
  return fmt::format(
      "\n  {} interrupted after {}, {} of {}; go on with --resume\n\n  files\n    {}  the weights "
      "and "
      "all that training needs to go on\n    {}  what happened, a JSON object a line\n",
      summary["model"].get<std::string>(), counted(summary["epochs"].get<std::uint64_t>(), "epoch"),
      counted(summary["steps"].get<std::uint64_t>(), "step"),
      counted(summary["batch"].get<std::uint64_t>(), "sample"), (out / "checkpoint.h5").string(),
      (out / "run.jsonl").string());
}

}  // namespace

std::string summary_text(const Json& summary, const std::filesystem::path& out) {
  if (summary["status"] == "interrupted") return interrupted_text(summary, out);
  const double accuracy = summary["test_accuracy"].get<double>();
  std::string text = fmt::format("\n  {} trained for {}, {} of {}, in {:.1f} s\n\n",
                                 summary["model"].get<std::string>(),
                                 counted(summary["epochs"].get<std::uint64_t>(), "epoch"),
                                 counted(summary["steps"].get<std::uint64_t>(), "step"),
                                 counted(summary["batch"].get<std::uint64_t>(), "sample"),
                                 summary["wall_seconds"].get<double>());
  const Json& qat = summary["qat"];
  text += fmt::format("  test accuracy  {:6.2f} %  {} on the GPU ranks\n", 100 * accuracy,
                      qat.is_null() ? "float32" : "rounded to " + qat.get<std::string>() + ",");
  const Json& fpga = summary["fpga"];
  const bool several = fpga["formats"].size() > 1;
  if (!several) text += one_format_text(fpga, accuracy);
  text += boost_text(fpga["boost"]);
  for (const Json& warning : fpga["warnings"])
    text += fmt::format("  warning        {}\n", warning["text"].get<std::string>());
  for (const Json& reason : fpga["retired"])
    text += fmt::format("  retired        {}\n", reason.get<std::string>());
  if (!summary["samples_per_second"].is_null()) {
    text += fmt::format("  training       {:6.0f}    samples a second, all GPU ranks together\n",
                        summary["samples_per_second"].get<double>());
  }
  text += balance_text(summary) + "\n";
  text += "  what ran where, and where its time went\n" + ranks_text(summary["ranks"]);
  text += fmt::format(
      "\n  files\n    {}  the weights\n    {}  what happened, a JSON object a line\n    {}  this "
      "page\n",
      (out / "checkpoint.h5").string(), (out / "run.jsonl").string(),
      (out / "summary.json").string());
  if (several) text += formats_text(fpga, accuracy);
  return text;
}

}  // namespace dovetail
