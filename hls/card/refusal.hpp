// Something that the card refuses to do, with the errno that XRT gets and the line that the user
// reads.
#pragma once

#include <stdexcept>
#include <string>

namespace dovetail::card {

class Refusal : public std::runtime_error {
 public:
  Refusal(int code, const std::string& reason) : std::runtime_error(reason), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

/// One line on standard error: XRT itself passes on no more than a number.
void complain(const std::string& reason);

}  // namespace dovetail::card
