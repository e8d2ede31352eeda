// JSON values that keep the order of their keys: the only header that includes nlohmann/json.
#pragma once

#include <nlohmann/json.hpp>

namespace dovetail {

using Json = nlohmann::ordered_json;

}  // namespace dovetail
