// JSON values that keep the order of their keys, and their text: the only header that includes
// nlohmann/json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace dovetail {

using Json = nlohmann::ordered_json;

/// As text, on one line or indented. Paths, vendors' and drivers' texts need not be UTF-8: what is
/// not becomes U+FFFD.
inline std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace dovetail
