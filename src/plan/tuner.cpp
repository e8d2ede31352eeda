// Checks and times candidates in turns.
#include "plan/tuner.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "dovetail_kernels.hpp"
#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/table.hpp"
#include "support/text.hpp"

namespace dovetail::plan {
namespace {

constexpr int law = 1;                // of choosing; to be raised when what a name means changes
constexpr double plausible_cost = 3;  // in units of the least: guesses are not that far off
constexpr double sample_s = 0.001;    // calls are queued for so long, then waited for
constexpr double budget_s = 0.05;     // for one candidate, about
constexpr int least_rounds = 3, most_rounds = 9;
constexpr double hopeless = 3;      // times the fastest of the moment: not timed again
constexpr double said_after_s = 3;  // of waiting for another process
constexpr double hardly =
    0.97;  // a later candidate must take less than this share of the first's time

struct Timed {
  std::size_t candidate = 0;
  Tuner::Trial trial;
  int calls = 1;
  double seconds = 0;  // of a call, the least so far: whatever disturbs a sample only adds
  double spent_s = 0;

  void sample(opencl::Device& device) {
    const Stopwatch watch;
    for (int i = 0; i < calls; ++i) trial.enqueue();
    device.finish();
    const double all = watch.seconds();
    spent_s += all;
    seconds = seconds > 0 ? std::min(seconds, all / calls) : all / calls;
  }
};

/// Runs it once, which compiles; nothing where its result is wrong. A lack of memory is no fault of
/// its own.
std::optional<Timed> audition(opencl::Device& device, const std::string& problem,
                              const std::string& name, std::size_t candidate,
                              const std::function<Tuner::Trial(std::size_t)>& prepare) {
  std::string fault;
  try {
    Timed timed{.candidate = candidate, .trial = prepare(candidate)};
    timed.trial.enqueue();
    device.finish();
    fault = timed.trial.fault();
    if (fault.empty()) return timed;
  } catch (const opencl::OutOfMemory&) {
    throw;
  } catch (const Error& failure) {
    fault = failure.what();
  }
  log::warn_of_host(
      fmt::format("{}: {} is out for {}: {}", device.info().name, name, problem, fault));
  return std::nullopt;
}

void time_in_turns(opencl::Device& device, std::vector<Timed>& all) {
  for (Timed& timed : all) {
    for (int i = 0; i < least_rounds; ++i) timed.sample(device);
    timed.calls = std::clamp(static_cast<int>(sample_s / timed.seconds), 1, 1000);
  }
  for (int round = 0; round < most_rounds; ++round) {
    const double fastest =
        std::min_element(all.begin(), all.end(), [](const Timed& a, const Timed& b) {
          return a.seconds < b.seconds;
        })->seconds;
    for (Timed& timed : all) {
      if (timed.seconds > hopeless * fastest) continue;
      if (round < least_rounds || timed.spent_s < budget_s) timed.sample(device);
    }
  }
}

}  // namespace

const char* to_string(Tuner::Origin origin) {
  switch (origin) {
    case Tuner::Origin::only:
      return "no other";
    case Tuner::Origin::measured:
      return "measured";
    case Tuner::Origin::remembered:
      return "remembered";
    case Tuner::Origin::told:
      return "measured by a neighbour";
  }
  return "?";
}

std::string Tuner::device_text() const {
  const DeviceInfo& info = device_.info();
  // What is chosen among fewer kernels is no choice among all.
  const std::string remark = opencl::instructions_remark();
  return fmt::format("{} / {} / {} units{}{}", info.platform, info.name, info.compute_units,
                     remark.empty() ? "" : " / ", remark);
}

CacheFolder::Label Tuner::label(const std::string& problem) const {
  return {.kind = "choice",
          .what = fmt::format("{} / {}", device_text(), problem),
          .version = fmt::format("{} {} {}", law, device_.info().driver, kernels::digest)};
}

std::size_t Tuner::choose(const std::string& problem, const std::vector<Candidate>& candidates,
                          const std::function<Trial(std::size_t candidate)>& prepare) {
  if (candidates.empty()) throw Error(fmt::format("nothing computes {}", problem));
  const auto index_of = [&](const std::string& name) -> std::optional<std::size_t> {
    const auto at = std::find_if(candidates.begin(), candidates.end(),
                                 [&](const Candidate& each) { return each.name == name; });
    if (at == candidates.end()) return std::nullopt;
    return static_cast<std::size_t>(at - candidates.begin());
  };
  const auto before = std::ranges::find(choices_, problem, &Choice::problem);
  if (before != choices_.end()) {
    if (const auto chosen = index_of(before->kernels)) return *chosen;
    choices_.erase(before);
  }
  const double least =
      std::min_element(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
        return a.cost < b.cost;
      })->cost;
  // The plausible ones in front; the others are for the case that none of those is right.
  std::vector<std::size_t> in_order(candidates.size());
  std::iota(in_order.begin(), in_order.end(), 0);
  const auto dear = std::ranges::stable_partition(
      in_order, [&](std::size_t i) { return candidates[i].cost <= plausible_cost * least; });
  const std::size_t plausible = in_order.size() - dear.size();

  Choice choice{.problem = problem};
  std::optional<std::size_t> chosen;
  if (const auto at = told_.find(problem); !chosen && at != told_.end()) {
    chosen = index_of(at->second);
    choice.origin = Origin::told;
  }
  auto state = CacheFolder::State::missing;
  const auto remember = [&] {
    const CacheFolder::Entry entry = device_.cache()->load(label(problem));
    state = entry.state;
    if (state == CacheFolder::State::sound) chosen = index_of(entry.bytes);
    choice.origin = Origin::remembered;
  };
  const bool may_remember = device_.cache() && memory_ == Memory::use;
  if (!chosen && may_remember) remember();
  if (!chosen) {
    // Whoever has the turn, or had it before, may have measured this. An entry that is there and of
    // no use is looked at once more only: each look would say so.
    const Turn turn = await_turn(problem, [&] {
      if (may_remember && state == CacheFolder::State::missing) remember();
      return chosen.has_value();
    });
    const bool may_be_new = turn.waited || state == CacheFolder::State::missing;
    if (!chosen && may_remember && may_be_new) remember();
    if (!chosen) {
      chosen = measure(choice, candidates, in_order, plausible, prepare);
      if (device_.cache()) device_.cache()->store(label(problem), candidates[*chosen].name);
    }
  }
  choice.kernels = candidates[*chosen].name;
  choices_.push_back(std::move(choice));
  return *chosen;
}

Tuner::Turn Tuner::await_turn(const std::string& problem, const std::function<bool()>& is_known) {
  if (!device_.cache()) return {};
  bool waited = false, has_said = false;
  const auto waiting = [&](double seconds, const std::string& holder) {
    const activity::During during(activity::Call::build_kernels);  // a sign of progress
    if (gave_up_) return false;
    waited = true;
    if (is_known()) return false;
    if (seconds > patience_s_) {
      gave_up_ = true;
      log::warn(
          fmt::format("{}: measures {}, and waits for nobody any more, beside {}, which has "
                      "not ended for {:.0f} s",
                      device_.info().name, problem, holder, seconds));
      return false;
    }
    if (seconds > said_after_s && !has_said) {
      log::note(fmt::format("{}: to measure {} waits until another has measured: {}",
                            device_.info().name, problem, holder));
      has_said = true;
    }
    return true;
  };
  auto lock = FileLock::await_turn(device_.cache()->folder(), "measuring", waiting);
  return {std::move(lock), waited};
}

std::size_t Tuner::measure(Choice& choice, const std::vector<Candidate>& candidates,
                           const std::vector<std::size_t>& in_order, std::size_t plausible,
                           const std::function<Trial(std::size_t)>& prepare) {
  std::vector<Timed> right;
  for (std::size_t i = 0; i < in_order.size(); ++i) {
    if (i >= plausible && !right.empty()) break;
    const std::size_t candidate = in_order[i];
    auto timed = audition(device_, choice.problem, candidates[candidate].name, candidate, prepare);
    if (timed) right.push_back(std::move(*timed));
  }
  if (right.empty()) {
    throw NothingComputes(
        fmt::format("{}: no kernel computes {} rightly", device_.info().name, choice.problem),
        fmt::format(
            "Look for a newer driver, leave instruction sets out by {} (\"none\" leaves plain "
            "kernels alone), or use another device",
            opencl::instructions_variable));
  }
  choice.origin = right.size() == 1 ? Origin::only : Origin::measured;
  if (choice.origin == Origin::only) return right.front().candidate;
  time_in_turns(device_, right);
  const Timed* best = &right.front();
  for (const Timed& timed : right) {
    choice.seconds[candidates[timed.candidate].name] = timed.seconds;
    const double bar = best == &right.front() ? hardly : 1;
    if (timed.seconds < bar * best->seconds) best = &timed;
  }
  return best->candidate;
}

Json Tuner::to_json() const {
  Json json = Json::object();
  for (const Choice& choice : choices_) json[choice.problem] = choice.kernels;
  return json;
}

Json Tuner::details() const {
  Json details = Json::array();
  for (const Choice& choice : choices_) {
    details.push_back({{"problem", choice.problem},
                       {"kernels", choice.kernels},
                       {"from", to_string(choice.origin)},
                       {"seconds", choice.seconds}});
  }
  return details;
}

std::string Tuner::to_text() const {
  std::vector<std::vector<std::string>> rows;
  for (const Choice& choice : choices_) {
    std::vector<std::string> times;
    for (const auto& [name, seconds] : choice.seconds)
      times.push_back(fmt::format("{} {:.3f} ms", name, seconds * 1e3));
    rows.push_back({choice.problem, choice.kernels, to_string(choice.origin),
                    fmt::format("{}", fmt::join(times, "; "))});
  }
  return format_table({"product", "kernels", "from", "times"}, rows);
}

std::string Tuner::tell() const {
  Json choices = Json::object();
  for (const Choice& choice : choices_) choices[choice.problem] = choice.kernels;
  return Json{{"device", device_text()}, {"driver", device_.info().driver}, {"choices", choices}}
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

void Tuner::listen(const std::string& told) {
  const Json said = Json::parse(told);
  if (said.at("device") != device_text() || said.at("driver") != device_.info().driver) return;
  for (const auto& [problem, name] : said.at("choices").items())
    told_[problem] = name.get<std::string>();
}

}  // namespace dovetail::plan
