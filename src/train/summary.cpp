// Builds the summary of a run.
#include "train/summary.hpp"

#include <algorithm>
#include <cmath>

#include "support/text.hpp"
#include "train/boost_advice.hpp"

namespace dovetail {
namespace {

Json to_json(const quant::Evaluation& evaluation) {
  return {{"version", evaluation.version},
          {"accuracy", evaluation.accuracy()},
          {"loss", evaluation.loss()},
          {"samples", evaluation.samples},
          {"seconds", evaluation.seconds}};
}

/// One object a format: its evaluations, and the newest one's figures.
Json format_summaries(const TrainSettings& settings, const TrainResult& result) {
  Json formats = Json::array();
  for (std::size_t i = 0; i < settings.fpga_formats.size(); ++i) {
    Json evaluations = Json::array();
    Json accuracy = nullptr, loss = nullptr, bytes = nullptr;
    for (const quant::Evaluation& evaluation : result.evaluations) {
      if (evaluation.format != i) continue;
      evaluations.push_back(to_json(evaluation));
      accuracy = evaluation.accuracy();
      loss = evaluation.loss();
    }
    if (i < result.pack_bytes.size()) bytes = result.pack_bytes[i];
    formats.push_back({{"format", settings.fpga_formats[i]},
                       {"accuracy", accuracy},
                       {"loss", loss},
                       {"bytes", bytes},
                       {"evaluations", evaluations}});
  }
  return formats;
}

/// The format with the fewest bytes whose newest accuracy is at most `points` below the float32
/// one; null where there is none.
Json smallest_within(const Json& formats, double points, double float_accuracy) {
  Json best = nullptr;
  if (std::isnan(float_accuracy)) return best;  // interrupted before the first validation
  std::uint64_t least = 0;
  for (const Json& format : formats) {
    if (format["accuracy"].is_null() || format["bytes"].is_null()) continue;
    const double lost = 100 * (float_accuracy - format["accuracy"].get<double>());
    const auto bytes = format["bytes"].get<std::uint64_t>();
    constexpr double rounding = 1e-9;
    if (lost > points + rounding || (!best.is_null() && bytes >= least)) continue;
    best = format["format"];
    least = bytes;
  }
  return best;
}

Json to_json(const BoostCounters::Staleness& staleness) {
  return {{"mean", staleness.mean()}, {"max", staleness.largest}};
}

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json boost_summary(const BoostSettings& settings, const TrainResult& result) {
  Json boost = Json::object();
  if (settings.selects()) {
    const bool is_scored = settings.select != SelectKind::random;
    boost["select"] = {{"keep", settings.keep},
                       {"kind", to_string(settings.select)},
                       {"format", is_scored ? Json(settings.select_format) : Json(nullptr)},
                       {"steps", result.boost.selected_steps},
                       {"samples", result.boost.selected_samples},
                       {"late", result.boost.late_scores},
                       {"staleness", to_json(result.boost.score_staleness)}};
  }
  if (settings.contributes()) {
    boost["gradients"] = {{"share", settings.share},
                          {"format", settings.gradient_format},
                          {"steps", result.boost.boosted_steps},
                          {"samples", result.boost.boosted_samples},
                          {"missing", result.boost.missing_samples},
                          {"late", result.boost.late_gradients},
                          {"staleness", to_json(result.boost.gradient_staleness)},
                          {"weight", or_null(result.boost_weight)},
                          {"cosine", or_null(result.boost_cosine)},
                          {"norm_ratio", or_null(result.boost_norm_ratio)}};
  }
  return boost;
}

Json fpga_summary(const TrainSettings& settings, const TrainResult& result,
                  const std::string& backend) {
  const Json formats = format_summaries(settings, result);
  const BoostCounters& boost = result.boost;
  // A job has one staleness for scripts: that of whichever weights were older.
  const auto& staleness = boost.score_staleness.largest > boost.gradient_staleness.largest
                              ? boost.score_staleness
                              : boost.gradient_staleness;
  Json warnings = Json::array();
  for (const BoostWarning& warning : boost_warnings(settings.boost, boost, result.boost_cosine))
    warnings.push_back({{"kind", warning.kind}, {"text", warning.text}});
  return {
      {"format", formats.front()["format"]},
      {"accuracy", formats.front()["accuracy"]},
      {"evaluations", formats.front()["evaluations"]},
      {"formats", formats},
      {"within_points", settings.within_points},
      {"smallest_within", smallest_within(formats, settings.within_points, result.test_accuracy)},
      {"boosted_steps", boost.boosted_steps},
      {"boosted_samples", boost.boosted_samples},
      {"selected_samples", boost.selected_samples},
      {"late", boost.late_scores + boost.late_gradients},
      {"staleness", to_json(staleness)},
      {"boost", boost_summary(settings.boost, result)},
      {"warnings", warnings},
      {"retired", result.retired},
      {"backend", backend}};
}

/// How gradients were summed, and how much of it the backward pass hid, over all GPU ranks.
Json communication_summary(const TrainSettings& settings, const TrainResult& result,
                           const RankReports& ranks) {
  double total = 0, exposed = 0;
  for (const Json& rank : ranks) {
    if (!rank.contains("communication")) continue;
    total += rank["communication"]["seconds"].get<double>();
    exposed += rank["communication"]["exposed_seconds"].get<double>();
  }
  return {{"overlap", settings.overlap},
          {"buckets", result.buckets},
          {"bucket_bytes", settings.bucket_bytes},
          {"compression", to_string(settings.compression)},
          {"groups", result.groups},
          {"chunks", settings.chunks},
          {"seconds", total},
          {"exposed_seconds", exposed},
          {"hidden", total > 0 ? Json(1 - exposed / total) : Json(nullptr)}};
}

/// How the batch was shared among the GPU ranks, and by how much the slowest of them computed
/// longer than the mean.
Json balance_summary(const TrainSettings& settings, const TrainResult& result,
                     const RankReports& ranks) {
  std::vector<double> computed_s;
  for (const Json& rank : ranks) {
    if (rank["role"] == "gpu") computed_s.push_back(rank["seconds"].value("compute", 0.0));
  }
  return {{"mode", to_string(settings.balance)},
          {"shares", result.shares.empty() ? Json(nullptr) : Json(result.shares)},
          {"changes", result.rebalanced},
          {"imbalance", computed_s.empty() ? 0 : imbalance(computed_s)}};
}

}  // namespace

Json make_summary(const TrainSettings& settings, const TrainResult& result,
                  const RankReports& ranks, const std::string& backend, double wall_s) {
  Json rate = nullptr;  // nothing was left to train
  if (result.training_s > 0) rate = static_cast<double>(result.trained_samples) / result.training_s;
  Json qat = nullptr;  // not aware of any quantisation
  if (settings.quantisation) qat = describe(*settings.quantisation);
  return {{"status", result.interrupted ? "interrupted" : "done"},
          {"model", settings.model},
          {"qat", qat},
          {"format", to_string(settings.format)},
          {"format_emulated", result.emulates_format},
          {"skipped_steps", result.skipped_steps},
          {"kernels", result.kernels},
          {"test_accuracy", result.test_accuracy},
          {"test_cross_entropy", result.test_cross_entropy},
          {"train_loss", result.train_loss},
          {"epochs", result.epochs},
          {"steps", result.steps},
          {"batch", settings.batch},
          {"augmentation", to_string(settings.augmentation)},
          {"data_on_device", result.data_on_device},
          {"seed", settings.seed},
          {"samples_per_second", rate},
          {"training_seconds", result.training_s},
          {"wall_seconds", wall_s},
          {"weights_sha256", result.weights_sha256},
          {"communication", communication_summary(settings, result, ranks)},
          {"balance", balance_summary(settings, result, ranks)},
          {"ranks", ranks},
          {"fpga", fpga_summary(settings, result, backend)}};
}

}  // namespace dovetail
