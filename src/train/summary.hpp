// summary.json, and the same for a person.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/json.hpp"
#include "train/trainer.hpp"

namespace dovetail {

/// What each rank says of itself at the end: role, device, host, samples, seconds per phase.
using RankReports = std::vector<Json>;

/// @param backend "card", "emulated" or "none".
Json make_summary(const TrainSettings& settings, const TrainResult& result,
                  const RankReports& ranks, const std::string& backend, double wall_s);

/// A page of plain text: what ran where, accuracy, speed, where the time went, where the files are.
std::string summary_text(const Json& summary, const std::filesystem::path& out);

}  // namespace dovetail
