// Starts a command in a process group of its own and reads its pipes until it and its children have
// gone.
#include "app/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "support/clock.hpp"
#include "support/text.hpp"

namespace dovetail::testing {
namespace {

constexpr double farewell_s = 3;  // for the rest of a job, once its launcher has gone

struct Pipe {
  int read_end = -1, write_end = -1;

  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipe() {
    ::close(read_end);
    close_write_end();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  void close_write_end() {
    if (write_end >= 0) ::close(write_end);
    write_end = -1;
  }
  /// Appends what can be read within `wait`.
  void drain(std::string& text, std::chrono::milliseconds wait) const {
    pollfd ready{read_end, POLLIN, 0};
    std::array<char, 4096> piece{};
    while (::poll(&ready, 1, static_cast<int>(wait.count())) > 0) {
      const ssize_t bytes = ::read(read_end, piece.data(), piece.size());
      if (bytes <= 0) return;
      text.append(piece.data(), static_cast<std::size_t>(bytes));
      wait = std::chrono::milliseconds(0);
    }
  }
};

/// Waits for the orphans that this process has inherited; false where some live on.
bool all_gone(double limit_s) {
  for (const Stopwatch watch; watch.seconds() < limit_s;) {
    const pid_t child = ::waitpid(-1, nullptr, WNOHANG);
    if (child < 0 && errno == ECHILD) return true;
    if (child == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

void kill_children() {
  const std::string mine = fmt::format("/proc/self/task/{}/children", ::getpid());
  do {
    std::ifstream children(mine);
    for (pid_t child = 0; children >> child;) ::kill(child, SIGKILL);
  } while (!all_gone(0.2));  // a killed parent leaves its children to this process
}

Words split(const std::string& text) {
  std::istringstream stream(text);
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

}  // namespace

std::string Outcome::text() const {
  return fmt::format(
      "exit code {} after {:.1f} s{}{}\n--- standard output\n{}--- standard error\n{}", exit_code,
      seconds, timed_out ? ", killed" : "", left_behind ? ", processes left behind" : "", out, err);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> errors_beginning(const Outcome& outcome, const std::string& prefix) {
  std::vector<std::string> found;
  for (const std::string& line : lines_of(outcome.err)) {
    if (line.starts_with(prefix)) found.push_back(line);
  }
  return found;
}

void Command::become(int out, int err) const {
  ::setpgid(0, 0);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  for (const auto& [variable, value] : environment_) ::setenv(variable.c_str(), value.c_str(), 1);
  std::vector<char*> arguments;
  for (const std::string& word : words_) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

Outcome Command::run(double limit_s) const {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  Outcome outcome;
  Pipe out, err;
  const Stopwatch watch;
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) become(out.write_end, err.write_end);
  out.close_write_end();
  err.close_write_end();
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (watch.seconds() > limit_s && !outcome.timed_out) {
      outcome.timed_out = true;
      ::kill(-child, SIGKILL);
    }
    out.drain(outcome.out, std::chrono::milliseconds(10));
    err.drain(outcome.err, std::chrono::milliseconds(0));
  }
  outcome.seconds = watch.seconds();
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.left_behind = !all_gone(outcome.timed_out ? 0 : farewell_s);
  if (outcome.left_behind) kill_children();
  out.drain(outcome.out, std::chrono::milliseconds(0));
  err.drain(outcome.err, std::chrono::milliseconds(0));
  return outcome;
}

Command dovetail(const Words& arguments) {
  Words words{DOVETAIL_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return Command(words);
}

Command dovetail_job(int ranks, const Words& arguments, const Words& launcher) {
  Words words = split(DOVETAIL_MPIEXEC);
  words.insert(words.end(), {"-n", std::to_string(ranks)});
  words.insert(words.end(), launcher.begin(), launcher.end());
  words.push_back(DOVETAIL_PROGRAM);
  words.insert(words.end(), arguments.begin(), arguments.end());
  return Command(words);
}

}  // namespace dovetail::testing
