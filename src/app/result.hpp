// What a command found out, for people and for programs.
#pragma once

#include <string>

#include "support/json.hpp"

namespace dovetail::app {

/// The text as a note; the JSON to the file `to`, to standard output where that is "-", nowhere
/// where it is empty. Throws Error where the file cannot be written.
void write_result(const std::string& to, const std::string& text, const Json& json);

}  // namespace dovetail::app
