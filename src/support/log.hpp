// Lines for people: notes on standard output, warnings and errors on standard error.
#pragma once

#include <string>

namespace dovetail::log {

/// Silences `note` and `warn` in this process: only the lead rank talks. Errors are always printed.
void set_quiet(bool quiet);
bool is_quiet();

/// Where this process runs, and whether it is the one that speaks for the processes there.
void set_host(const std::string& host, bool speaks_for_it);

/// Sends notes to standard error from now on: standard output is to hold one document alone.
void keep_output_for_document();
/// What another program reads: on standard output, whoever is quiet.
void document(const std::string& text);

void note(const std::string& line);
void warn(const std::string& line);
/// Of what may be wrong with one host and right with others: the process that speaks for it prints,
/// with the host's name, quiet or not.
void warn_of_host(const std::string& line);
void error(const std::string& line);

}  // namespace dovetail::log
