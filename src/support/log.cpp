// Lines for people, written whole through spdlog so that the ranks of one host do not interleave
// inside a line.
#include "support/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace dovetail::log {
namespace {

std::shared_ptr<spdlog::logger> make_logger(const char* name, spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>(name, std::move(sink));
  logger->set_pattern("%v");
  logger->flush_on(spdlog::level::trace);
  return logger;
}

spdlog::logger& out() {
  static const auto logger = make_logger("out", std::make_shared<spdlog::sinks::stdout_sink_mt>());
  return *logger;
}

spdlog::logger& err() {
  static const auto logger = make_logger("err", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  return *logger;
}

/// Lines quote files and arguments, which may hold what a terminal would obey.
std::string shown(std::string text) {
  for (char& c : text) {
    const auto code = static_cast<unsigned char>(c);
    if ((code < ' ' && c != '\n' && c != '\t') || code == 0x7f) c = '?';
  }
  return text;
}

bool quiet = false;
bool notes_to_error = false;
std::string own_host;
bool speaks_for_host = true;

}  // namespace

void set_quiet(bool is_quiet) {
  quiet = is_quiet;
}
bool is_quiet() {
  return quiet;
}

void set_host(const std::string& host, bool speaks_for_it) {
  own_host = host;
  speaks_for_host = speaks_for_it;
}

void keep_output_for_document() {
  notes_to_error = true;
}

void document(const std::string& text) {
  out().info(text);
}

void note(const std::string& line) {
  if (!quiet) (notes_to_error ? err() : out()).info(shown(line));
}

void warn(const std::string& line) {
  if (!quiet) err().warn("warning: " + shown(line));
}

void warn_of_host(const std::string& line) {
  if (!speaks_for_host) return;
  err().warn("warning: " + shown(own_host.empty() ? line : own_host + ": " + line));
}

void error(const std::string& line) {
  err().error(shown(line));
}

}  // namespace dovetail::log
