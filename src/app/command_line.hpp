// One subcommand's options: parsed from the command line and from an INI file.
//
// The only room with Boost.Program_options; its header stays inside the .cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dovetail::app {

class CommandLine {
 public:
  /// @param usage for example "mpirun -n N dovetail train --data DIR --model NAME --out RUN
  /// [options]".
  CommandLine(std::string usage, std::string summary);
  ~CommandLine();

  // Declares an option, bound to a variable whose present value is the default.
  void add(const std::string& name, std::string& value, const std::string& help);
  void add(const std::string& name, int& value, const std::string& help);
  void add(const std::string& name, double& value, const std::string& help);
  void add(const std::string& name, std::uint64_t& value, const std::string& help);
  void add(const std::string& name, std::vector<std::string>& values, const std::string& help);
  void add(const std::string& name, std::optional<int>& value, const std::string& help);
  void add(const std::string& name, std::optional<double>& value, const std::string& help);
  /// Present or not.
  void add_flag(const std::string& name, bool& value, const std::string& help);
  /// Makes an option obligatory.
  void require(const std::string& name);

  /// Sets the bound variables; the command line wins over the --config file. Returns false when
  /// --help was asked for and printed. Throws UsageError for an unknown or malformed option, a
  /// missing one, or an unreadable file.
  bool parse(const std::vector<std::string>& arguments);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  std::string usage_;
  std::string summary_;
  std::vector<std::string> required_;
};

}  // namespace dovetail::app
