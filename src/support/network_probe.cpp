// Connects to a port where nobody is expected to listen, to many hosts at once.
#include "support/network_probe.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>

#include "support/clock.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr std::uint16_t unused_port = 9;  // "discard" of RFC 863, long out of use
constexpr std::size_t at_once = 256;      // sockets: well below the usual limit of open files

struct Address {
  std::uint32_t bits = 0;  // in the host's order
  std::uint32_t mask = 0;
};

/// "10.0.0.1/24", or nullopt for anything else.
std::optional<Address> parse(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  in_addr address{};
  if (::inet_pton(AF_INET, text.substr(0, slash).c_str(), &address) != 1) return std::nullopt;
  const int length = std::clamp(std::atoi(text.c_str() + slash + 1), 0, 32);
  const std::uint32_t mask = length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
  return Address{ntohl(address.s_addr), mask};
}

bool is_answer(int error) {
  return error == 0 || error == ECONNREFUSED || error == ECONNRESET;
}

/// A connection under way; nullopt where its outcome is known at once.
std::optional<pollfd> begin(const std::string& text, bool& answers) {
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(unused_port);
  if (::inet_pton(AF_INET, text.c_str(), &target.sin_addr) != 1) return std::nullopt;
  const int file = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (file < 0) return std::nullopt;
  const int code = ::connect(file, reinterpret_cast<const sockaddr*>(&target), sizeof target);
  if (code != 0 && errno == EINPROGRESS) return pollfd{file, POLLOUT, 0};
  answers = is_answer(code == 0 ? 0 : errno);
  ::close(file);
  return std::nullopt;
}

bool outcome(int file) {
  int error = 0;
  socklen_t bytes = sizeof error;
  return ::getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && is_answer(error);
}

}  // namespace

std::vector<std::string> own_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
  std::vector<std::string> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    if (!(entry->ifa_flags & IFF_UP) || (entry->ifa_flags & IFF_LOOPBACK)) continue;
    const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
    const auto* mask = reinterpret_cast<const sockaddr_in*>(entry->ifa_netmask);
    char text[INET_ADDRSTRLEN] = {};
    if (::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) == nullptr) continue;
    found.push_back(
        fmt::format("{}/{}", text, mask == nullptr ? 32 : std::popcount(mask->sin_addr.s_addr)));
  }
  return found;
}

std::vector<bool> which_answer(const std::vector<std::string>& addresses, double patience_s) {
  std::vector<bool> answers(addresses.size(), false);
  for (std::size_t first = 0; first < addresses.size(); first += at_once) {
    const std::size_t end = std::min(first + at_once, addresses.size());
    std::vector<pollfd> open;
    std::vector<std::size_t> asked;
    for (std::size_t i = first; i < end; ++i) {
      bool at_once_answered = false;
      if (const auto connection = begin(addresses[i], at_once_answered)) {
        open.push_back(*connection);
        asked.push_back(i);
      }
      answers[i] = at_once_answered;
    }
    const Stopwatch watch;
    std::size_t waiting = open.size();
    while (waiting > 0 && watch.seconds() < patience_s) {
      const double left_s = patience_s - watch.seconds();
      if (::poll(open.data(), open.size(), static_cast<int>(left_s * 1000) + 1) <= 0) continue;
      for (std::size_t i = 0; i < open.size(); ++i) {
        if (open[i].fd < 0 || open[i].revents == 0) continue;
        answers[asked[i]] = outcome(open[i].fd);
        ::close(open[i].fd);
        open[i].fd = -1;  // poll passes over it
        --waiting;
      }
    }
    for (const pollfd& connection : open) {
      if (connection.fd >= 0) ::close(connection.fd);
    }
  }
  return answers;
}

std::vector<std::size_t> cut_off_hosts(
    const std::vector<std::vector<std::string>>& hosts, std::size_t mine,
    const std::function<std::vector<bool>(const std::vector<std::string>&)>& which_answer) {
  struct Question {
    std::size_t host;
    std::string network;  // this host's own address on it
  };
  std::vector<Question> questions;
  std::vector<std::string> addresses;
  for (const std::string& own_text : hosts[mine]) {
    const auto own = parse(own_text);
    if (!own) continue;
    for (std::size_t host = 0; host < hosts.size(); ++host) {
      for (const std::string& text : hosts[host]) {
        const auto other = parse(text);
        // Bridges of containers have one address on every host.
        if (host == mine || !other || other->bits == own->bits) continue;
        if (((other->bits ^ own->bits) & own->mask) != 0) continue;
        questions.push_back({host, own_text});
        addresses.push_back(text.substr(0, text.find('/')));
      }
    }
  }
  const std::vector<bool> answers = which_answer(addresses);
  std::set<std::string> alive_networks;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (answers[i]) alive_networks.insert(questions[i].network);
  }
  std::set<std::size_t> silent;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (!answers[i] && (alive_networks.empty() || alive_networks.contains(questions[i].network)))
      silent.insert(questions[i].host);
  }
  if (alive_networks.empty() && silent.size() > 1) return {mine};
  return {silent.begin(), silent.end()};
}

}  // namespace dovetail
