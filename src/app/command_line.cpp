// Options through Boost.Program_options.
#include "app/command_line.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <fstream>
#include <sstream>

#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::app {

namespace options = boost::program_options;

struct CommandLine::Parser {
  options::options_description description{"Options"};
  std::string config;
  bool help = false;
};

namespace {

/// Boost's own reading of an unsigned number takes "-1" for 2^64 - 1.
struct Natural {
  std::uint64_t value = 0;
};

/// Boost.Program_options finds it by its arguments' types.
void validate(boost::any& result, const std::vector<std::string>& given, Natural*, int) {
  const std::string& text = options::validators::get_single_string(given);
  Natural number;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, number.value);
  if (failure != std::errc() || stop != end) throw options::invalid_option_value(text);
  result = number;
}

constexpr const char* see_help = "See `dovetail <command> --help`";

/// Boost 1.74 never ends to compose its message about a wrong value that holds one of the message's
/// own placeholders.
void refuse_placeholders(const std::string& text, const std::string& where) {
  for (const char* placeholder : {"%value%", "%option%", "%canonical_option%", "%original_token%",
                                  "%prefix%", "%invalid_line%"}) {
    if (text.find(placeholder) != std::string::npos)
      throw UsageError(fmt::format("{} holds {}", where, placeholder), "Write it differently");
  }
}

void read_config(const std::string& path, const options::options_description& description,
                 options::variables_map& values) {
  std::ifstream file(path);
  if (!file) {
    throw UsageError(fmt::format("cannot open the configuration file {}", path),
                     "Give a file that can be read, or leave --config out");
  }
  std::stringstream text;
  text << file.rdbuf();
  refuse_placeholders(text.str(), "the configuration file " + path);
  try {
    options::store(options::parse_config_file(text, description), values);
  } catch (const options::error& failure) {
    throw UsageError(fmt::format("the configuration file {}: {}", path, failure.what()), see_help);
  }
}

}  // namespace

CommandLine::CommandLine(std::string usage, std::string summary)
    : parser_(std::make_unique<Parser>()), usage_(std::move(usage)), summary_(std::move(summary)) {
  add("config", parser_->config, "an INI file with options, one `name = value` a line");
  add_flag("help", parser_->help, "print this");
}

CommandLine::~CommandLine() = default;

void CommandLine::add(const std::string& name, std::string& value, const std::string& help) {
  auto* semantic = options::value(&value);
  parser_->description.add_options()(
      name.c_str(), value.empty() ? semantic : semantic->default_value(value), help.c_str());
}

void CommandLine::add(const std::string& name, int& value, const std::string& help) {
  parser_->description.add_options()(name.c_str(), options::value(&value)->default_value(value),
                                     help.c_str());
}

void CommandLine::add(const std::string& name, double& value, const std::string& help) {
  parser_->description.add_options()(
      name.c_str(), options::value(&value)->default_value(value, fmt::format("{}", value)),
      help.c_str());
}

void CommandLine::add(const std::string& name, std::uint64_t& value, const std::string& help) {
  auto* semantic = options::value<Natural>()
                       ->default_value({value}, fmt::format("{}", value))
                       ->notifier([&value](const Natural& given) { value = given.value; });
  parser_->description.add_options()(name.c_str(), semantic, help.c_str());
}

void CommandLine::add(const std::string& name, std::vector<std::string>& values,
                      const std::string& help) {
  parser_->description.add_options()(name.c_str(), options::value(&values)->multitoken(),
                                     help.c_str());
}

void CommandLine::add(const std::string& name, std::optional<int>& value, const std::string& help) {
  auto* semantic = options::value<int>()->notifier([&value](int given) { value = given; });
  parser_->description.add_options()(name.c_str(), semantic, help.c_str());
}

void CommandLine::add(const std::string& name, std::optional<double>& value,
                      const std::string& help) {
  auto* semantic = options::value<double>()->notifier([&value](double given) { value = given; });
  parser_->description.add_options()(name.c_str(), semantic, help.c_str());
}

void CommandLine::add_flag(const std::string& name, bool& value, const std::string& help) {
  parser_->description.add_options()(name.c_str(), options::bool_switch(&value), help.c_str());
}

void CommandLine::require(const std::string& name) {
  required_.push_back(name);
}

bool CommandLine::parse(const std::vector<std::string>& arguments) {
  options::variables_map values;
  for (const std::string& argument : arguments)
    refuse_placeholders(argument, "the argument " + argument);
  try {
    options::command_line_parser parser(arguments);
    // Guessing an abbreviation hides a misspelling, and another option in a later version may take
    // it.
    parser.style(options::command_line_style::unix_style &
                 ~options::command_line_style::allow_guessing);
    options::store(parser.options(parser_->description).positional({}).run(), values);
    if (values["help"].as<bool>()) {
      std::ostringstream text;
      text << parser_->description;
      log::note(fmt::format("{}\n\n{}\n\n{}", usage_, summary_, text.str()));
      return false;
    }
    if (values.count("config"))
      read_config(values["config"].as<std::string>(), parser_->description, values);
    options::notify(values);
  } catch (const options::error& failure) {
    throw UsageError(failure.what(), see_help);
  }
  for (const std::string& name : required_) {
    if (!values.count(name))
      throw UsageError(fmt::format("the option --{} is missing", name), see_help);
  }
  return true;
}

}  // namespace dovetail::app
