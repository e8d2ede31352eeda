// The three products of a layer with weights.
#pragma once

namespace dovetail {

enum class Direction { forward, input_gradient, weight_gradient };

inline const char* to_string(Direction direction) {
  switch (direction) {
    case Direction::forward:
      return "forward";
    case Direction::input_gradient:
      return "input gradient";
    case Direction::weight_gradient:
      return "weight gradient";
  }
  return "?";
}

}  // namespace dovetail
