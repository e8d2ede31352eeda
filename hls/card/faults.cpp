// Reads the list of faults and counts the occasions.
#include "card/faults.hpp"

#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "card/refusal.hpp"

namespace dovetail::card {
namespace {

constexpr std::array<const char*, 9> names = {"fail", "hang",  "alloc", "corrupt", "gone",
                                              "load", "write", "read",  "silent"};

}  // namespace

Faults::Faults(const std::string& text) {
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    const std::size_t colon = item.find(':');
    const std::string name = item.substr(0, colon);
    long count = 0;
    if (colon != std::string::npos) {
      std::istringstream number(item.substr(colon + 1));
      if (!(number >> count) || !number.eof()) count = 0;
    }
    std::size_t fault = 0;
    while (fault < names.size() && name != names[fault]) ++fault;
    if (fault == names.size() || count < 1) {
      throw Refusal(
          EINVAL,
          "DOVETAIL_CARD_FAULT has '" + item +
              "': it takes fail:n, hang:n, alloc:n, corrupt:n, gone:n, load:n, write:n, read:n or "
              "silent:n, separated by commas");
    }
    counters_[fault].left = count;
  }
}

bool Faults::strikes(Fault fault) {
  std::atomic<long>& left = counters_[static_cast<std::size_t>(fault)].left;
  return left > 0 && --left == 0;
}

void Faults::hang_at(Fault fault) {
  if (!strikes(fault)) return;
  for (;;) ::pause();
}

}  // namespace dovetail::card
