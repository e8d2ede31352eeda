// Shares of the global batch.
#include "app/balance_options.hpp"

#include <cstdlib>
#include <sstream>

#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::app {

void BalanceOptions::add_to(CommandLine& line) {
  line.add(
      "balance", balance,
      "shares of the batch among the GPU ranks: equal; 3:1, one number a GPU rank; or auto: by "
      "measured speed, so that runs differ in their last bits");
}

void BalanceOptions::apply(TrainSettings& settings) const {
  settings.balance = parse_balance(balance);
  if (settings.balance.kind == BalanceKind::equal || settings.chunks == 0) return;
  throw UsageError(
      fmt::format("--balance {} with --deterministic, whose chunks of a batch have one size",
                  balance),
      "Leave one of them out");
}

int repeats_of(int rank) {
  const char* variable = std::getenv("DOVETAIL_SLOW_RANK");
  if (variable == nullptr) return 1;
  std::istringstream text(variable);
  int slow = 0, repeats = 0;
  char colon = 0;
  if (!(text >> slow >> colon >> repeats) || !text.eof() || colon != ':' || repeats < 1) {
    throw UsageError(fmt::format("DOVETAIL_SLOW_RANK={} is not RANK:N", variable),
                     "Give 1:3 to have rank 1 compute all gradients three times, or unset it");
  }
  if (rank != slow) return 1;
  log::warn(
      fmt::format("dovetail train: rank {} computes its gradients {} times, as "
                  "DOVETAIL_SLOW_RANK says",
                  rank, repeats));
  return repeats;
}

}  // namespace dovetail::app
