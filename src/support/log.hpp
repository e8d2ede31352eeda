// Lines for people: notes on standard output, warnings and errors on standard error.
#pragma once

#include <string>

namespace dovetail::log {

/// Silences `note` and `warn` in this process: only the lead rank talks. Errors are always printed.
void set_quiet(bool quiet);
bool is_quiet();

/// Sends notes to standard error from now on: standard output is to hold one document alone.
void keep_output_for_document();
/// What another program reads: on standard output, whoever is quiet.
void document(const std::string& text);

void note(const std::string& line);
void warn(const std::string& line);
void error(const std::string& line);

}  // namespace dovetail::log
